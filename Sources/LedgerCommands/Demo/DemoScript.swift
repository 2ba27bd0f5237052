/// The script of the demonstration, with the numbers that it must end with.
///
/// It contains everything that goes wrong in practice: failures, retries, a lost response and a zombie worker.
enum DemoScript {
    /// The worker of one execution of a task.
    struct Worker: Hashable, Sendable {
        let task: String
        let execution: String
        let attempt: Int32
    }

    /// One action of a worker.
    enum Action: Hashable, Sendable {
        /// Its execution starts.
        case start(Worker)
        /// It declares units on several indicators, in this order.
        case declare(Worker, [Units])
        /// It reports one unit done, with this report number.
        case done(Worker, label: String, report: Int64)
        /// Its execution ends.
        case finish(Worker, succeeded: Bool)
        /// It starts again although it was superseded; the ledger must refuse.
        case startLate(Worker)
        /// The job ends.
        case finishJob
    }

    struct Units: Hashable, Sendable {
        let label: String
        let total: Int64
    }

    struct Step: Hashable, Sendable {
        /// The explanation for the viewer; nil if the numbers need none.
        let story: String?
        let action: Action

        init(_ action: Action, _ story: String? = nil) {
            self.story = story
            self.action = action
        }
    }

    /// The final indicators, in the order in which the labels first appear.
    static let outcome: [(label: String, done: Int64, total: Int64)] = [
        ("finalize", 1, 1), ("step1", 4, 4), ("step2", 4, 4),
    ]

    static let steps: [Step] =
        plan() + plainTask("step1/1", "step1") + failureAfterUnit() + plainTask("step1/3", "step1") + lostResponse()
        + plainTask("step2/1", "step2") + zombieWorker() + failureBeforeUnit() + plainTask("step2/4", "step2")
        + plainTask("finalize", "finalize") + [Step(.finishJob, "The job completes.")]

    /// The first task declares all units of the job.
    private static func plan() -> [Step] {
        let planner = Worker(task: "plan", execution: "plan-a", attempt: 1)
        return [
            Step(.start(planner), "The task plan declares the units of the job."),
            Step(.declare(planner, outcome.map { Units(label: $0.label, total: $0.total) })),
            Step(.finish(planner, succeeded: true)),
        ]
    }

    private static func plainTask(_ task: String, _ label: String) -> [Step] {
        success(Worker(task: task, execution: "\(task)-a", attempt: 1), label)
    }

    private static func success(_ worker: Worker, _ label: String) -> [Step] {
        [
            Step(.start(worker)),
            Step(.done(worker, label: label, report: 1)),
            Step(.finish(worker, succeeded: true)),
        ]
    }

    private static func failureAfterUnit() -> [Step] {
        let first = Worker(task: "step1/2", execution: "step1/2-a", attempt: 1)
        let second = Worker(task: "step1/2", execution: "step1/2-b", attempt: 2)
        return [
            Step(.start(first)),
            Step(.done(first, label: "step1", report: 1)),
            Step(
                .finish(first, succeeded: false),
                "step1/2 fails after reporting its unit, which counts until a retry starts."),
            Step(.start(second), "Attempt 2 of step1/2 starts: the unit of attempt 1 no longer counts."),
            Step(.done(second, label: "step1", report: 1)),
            Step(.finish(second, succeeded: true)),
        ]
    }

    private static func lostResponse() -> [Step] {
        let worker = Worker(task: "step1/4", execution: "step1/4-a", attempt: 1)
        return [
            Step(.start(worker)),
            Step(.done(worker, label: "step1", report: 1)),
            Step(
                .done(worker, label: "step1", report: 1),
                "step1/4 got no response and sends report 1 again: it counts once."),
            Step(.finish(worker, succeeded: true)),
        ]
    }

    private static func zombieWorker() -> [Step] {
        let zombie = Worker(task: "step2/2", execution: "step2/2-a", attempt: 1)
        let second = Worker(task: "step2/2", execution: "step2/2-b", attempt: 2)
        return [
            Step(.start(zombie)),
            Step(.done(zombie, label: "step2", report: 1)),
            Step(.start(second), "The worker of step2/2 goes silent and is presumed dead: attempt 2 starts."),
            Step(
                .done(zombie, label: "step2", report: 2),
                "The old worker is alive and reports: its progress is recorded but not counted."),
            Step(.done(second, label: "step2", report: 1)),
            Step(.startLate(zombie), "The old worker starts again: the ledger responds 409, superseded."),
            Step(.finish(second, succeeded: true)),
        ]
    }

    private static func failureBeforeUnit() -> [Step] {
        let first = Worker(task: "step2/3", execution: "step2/3-a", attempt: 1)
        let second = Worker(task: "step2/3", execution: "step2/3-b", attempt: 2)
        return [
            Step(.start(first)),
            Step(.finish(first, succeeded: false), "step2/3 fails before doing anything, and is retried."),
        ] + success(second, "step2")
    }
}
