/// What the demonstration plays: a job with everything that goes wrong in practice, and the numbers that come out.
enum DemoScript {
    /// A run of a task.
    struct Worker: Hashable, Sendable {
        let task: String
        let execution: String
        let attempt: Int32
    }

    /// What a worker does.
    enum Action: Hashable, Sendable {
        /// Its run begins.
        case start(Worker)
        /// It declares units on several indicators, in this order.
        case declare(Worker, [Units])
        /// It reports one unit done, under this number.
        case done(Worker, label: String, report: Int64)
        /// Its run ends.
        case finish(Worker, succeeded: Bool)
        /// It begins again though it has been superseded: the ledger must refuse.
        case startLate(Worker)
        /// The job ends.
        case finishJob
    }

    struct Units: Hashable, Sendable {
        let label: String
        let total: Int64
    }

    struct Step: Hashable, Sendable {
        /// What happens, for who watches; nil where the numbers say enough.
        let story: String?
        let action: Action

        init(_ action: Action, _ story: String? = nil) {
            self.story = story
            self.action = action
        }
    }

    /// The indicators at the end, in the order of their first naming.
    static let outcome: [(label: String, done: Int64, total: Int64)] = [
        ("finalize", 1, 1), ("step1", 4, 4), ("step2", 4, 4),
    ]

    static let steps: [Step] =
        plan() + plain("step1/1", "step1") + failsAfterItsUnit() + plain("step1/3", "step1") + answerGetsLost()
        + plain("step2/1", "step2") + losesItsWorker() + failsBeforeItsUnit() + plain("step2/4", "step2")
        + plain("finalize", "finalize") + [Step(.finishJob, "The job has completed.")]

    /// The first task says what there is to do.
    private static func plan() -> [Step] {
        let planner = Worker(task: "plan", execution: "plan-a", attempt: 1)
        return [
            Step(.start(planner), "The task plan declares what there is to do."),
            Step(.declare(planner, outcome.map { Units(label: $0.label, total: $0.total) })),
            Step(.finish(planner, succeeded: true)),
        ]
    }

    private static func plain(_ task: String, _ label: String) -> [Step] {
        run(Worker(task: task, execution: "\(task)-a", attempt: 1), label)
    }

    private static func run(_ worker: Worker, _ label: String) -> [Step] {
        [
            Step(.start(worker)),
            Step(.done(worker, label: label, report: 1)),
            Step(.finish(worker, succeeded: true)),
        ]
    }

    private static func failsAfterItsUnit() -> [Step] {
        let first = Worker(task: "step1/2", execution: "step1/2-a", attempt: 1)
        let second = Worker(task: "step1/2", execution: "step1/2-b", attempt: 2)
        return [
            Step(.start(first)),
            Step(.done(first, label: "step1", report: 1)),
            Step(
                .finish(first, succeeded: false), "step1/2 fails after it has reported its unit, which counts for now."),
            Step(.start(second), "Attempt 2 of step1/2 begins: what attempt 1 reported no longer counts."),
            Step(.done(second, label: "step1", report: 1)),
            Step(.finish(second, succeeded: true)),
        ]
    }

    private static func answerGetsLost() -> [Step] {
        let worker = Worker(task: "step1/4", execution: "step1/4-a", attempt: 1)
        return [
            Step(.start(worker)),
            Step(.done(worker, label: "step1", report: 1)),
            Step(
                .done(worker, label: "step1", report: 1),
                "step1/4 has lost the answer and sends report 1 again: it counts once."),
            Step(.finish(worker, succeeded: true)),
        ]
    }

    private static func losesItsWorker() -> [Step] {
        let zombie = Worker(task: "step2/2", execution: "step2/2-a", attempt: 1)
        let second = Worker(task: "step2/2", execution: "step2/2-b", attempt: 2)
        return [
            Step(.start(zombie)),
            Step(.done(zombie, label: "step2", report: 1)),
            Step(.start(second), "The worker of step2/2 falls silent and is given up for dead: attempt 2 begins."),
            Step(
                .done(zombie, label: "step2", report: 2),
                "But it lives, and reports: its progress is recorded and never counted."),
            Step(.done(second, label: "step2", report: 1)),
            Step(.startLate(zombie), "It begins again, late: the ledger answers 409, and it learns what it is."),
            Step(.finish(second, succeeded: true)),
        ]
    }

    private static func failsBeforeItsUnit() -> [Step] {
        let first = Worker(task: "step2/3", execution: "step2/3-a", attempt: 1)
        let second = Worker(task: "step2/3", execution: "step2/3-b", attempt: 2)
        return [
            Step(.start(first)),
            Step(.finish(first, succeeded: false), "step2/3 fails before it has done anything, and is tried again."),
        ] + run(second, "step2")
    }
}
