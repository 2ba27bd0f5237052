internal import Ledger
internal import LedgerWire

/// Builds the straight answer about a job.
struct AnswerBuilder {
    let view: JobView
    let now: Timestamp
    /// The result of verifying all events of the job; nil if they were not verified.
    let verification: Verification?
    /// Some failed tasks with their last executions.
    var failures: [TaskSummary] = []

    /// The number of failed tasks that are named.
    static let failuresMax = 3

    var answer: JobAnswer {
        let estimate = isRunning ? view.estimate : nil
        let remaining = estimate?.estimate.remaining
        return JobAnswer(
            text: text, state: snapshot.state, percent: snapshot.percent, remaining: remaining,
            finishAt: remaining.flatMap { remaining in
                estimate.map { estimate in
                    JobAnswer.FinishTimes(
                        p10: estimate.finish(after: remaining.p10), p50: estimate.finish(after: remaining.p50),
                        p90: estimate.finish(after: remaining.p90))
                }
            }, stalledSince: stalledSince, failedTasks: snapshot.tasks.failed, waitingFor: awaitedWork,
            askAgain: askAgain)
    }

    private var snapshot: Snapshot { view.snapshot }
    private var isRunning: Bool { snapshot.state == .running }
    /// The number of events that the snapshot does not include yet.
    private var lag: Int { max(0, view.ledgerSequence - snapshot.sequence) }

    /// The time since which the job is stalled; nil if it is not.
    private var stalledSince: Timestamp? { isRunning ? view.stalls?.since : nil }

    private var awaitedWork: JobAnswer.AwaitedWork? {
        guard isRunning, let estimate = view.estimate, let waiting = estimate.estimate.waitingFor else { return nil }
        return JobAnswer.AwaitedWork(label: waiting.label, tasks: estimate.waitingTasks)
    }

    // MARK: When to ask again

    /// The shortest and the longest time after which to ask again.
    private static let askAgainSeconds: ClosedRange<Int64> = 5...900
    /// A job that has ended changes only if it is reopened.
    private static let askAgainAfterEnd: Duration = .seconds(3_600)
    /// The time for a running job without a prediction.
    private static let askAgainByDefault: Duration = .seconds(30)

    /// A tenth of the remaining time.
    ///
    /// The percentage will have changed then, and the end is not missed by much.
    private var askAgain: Duration {
        if lag > 0 { return .seconds(Self.askAgainSeconds.lowerBound) }
        guard isRunning else { return Self.askAgainAfterEnd }
        guard let remaining = view.estimate?.estimate.remaining else { return Self.askAgainByDefault }
        let bounds = Self.askAgainSeconds
        let tenth = min(remaining.p50 / 10, Double(bounds.upperBound))
        return .seconds(max(bounds.lowerBound, Int64(tenth)))
    }

    // MARK: Sentences

    private var text: String {
        ([howFar] + when + obstacles + trust + ["Ask again in \(askAgain.components.seconds) s."])
            .joined(separator: " ")
    }

    private var howFar: String {
        let name = view.description.name.quotation
        let tasks = snapshot.tasks
        let ended = tasks.total - tasks.running - tasks.abandoned
        let state =
            switch snapshot.state {
            case .running: "is running"
            case .completed: "has completed"
            case .failed: "has failed"
            case .canceled: "was canceled"
            }
        let done = snapshot.percent.map { "\($0) % are done" } ?? "no units are declared"
        let at = snapshot.finishedAt.map { " at \(Self.time($0))" } ?? ""
        return "Job \(name) \(state)\(at): \(done), and \(ended) of \(tasks.total) known tasks have ended."
    }

    private var when: [String] {
        guard isRunning else { return [] }
        guard let estimate = view.estimate, let remaining = estimate.estimate.remaining,
            let words = RemainingText.text(estimate, now: now)
        else {
            let reason = view.estimate?.estimate.reason.flatMap { EstimateText.words($0) }
            return ["There is no estimate of its end\(reason.map { ": \($0)" } ?? "")."]
        }
        let end = Self.time(estimate.finish(after: remaining.p50))
        return ["It will take \(words) more, until \(end); 8 of 10 jobs should end within the interval."]
    }

    private var obstacles: [String] {
        var sentences: [String] = []
        let tasks = snapshot.tasks
        if let deadline = view.description.deadline,
            Lateness(view, deadline: deadline, usual: nil, now: now) != nil
        {
            let words = deadline < now ? "It has missed its deadline" : "It will probably miss its deadline"
            sentences.append("\(words), \(Self.time(deadline)).")
        }
        if let since = stalledSince { sentences.append("It has not advanced since \(Self.time(since)).") }
        if let work = awaitedWork {
            let label = work.label.map(\.quotation) ?? "the default indicator"
            let names = work.tasks.prefix(3).map(\.quotation).joined(separator: ", ")
            sentences.append("It waits for \(label)\(names.isEmpty ? "" : ": \(names)").")
        }
        if let since = snapshot.idleSince {
            sentences.append(
                "All of its tasks have ended, but the job has not been ended; the last event is of \(Self.time(since))."
            )
        }
        if isRunning, let silent = view.stalls?.silentCount, silent > 0 {
            sentences.append("Executions that have been silent for too long: \(silent).")
        }
        if tasks.failed > 0 { sentences.append("Failed tasks: \(tasks.failed)\(causes).") }
        if tasks.abandoned > 0 { sentences.append("Tasks without an end: \(tasks.abandoned).") }
        return sentences
    }

    /// Why tasks failed, as far as they said; empty if none did.
    private var causes: String {
        let causes = failures.prefix(Self.failuresMax).compactMap { task in
            task.executions.last?.message.map { "\(task.name.quotation) says \($0.quotation)" }
        }
        return causes.isEmpty ? "" : "; \(causes.joined(separator: ", "))"
    }

    private var trust: [String] {
        var sentences = [
            lag == 0
                ? "These numbers are up to date: they include every event of the ledger, \(view.ledgerSequence) so far."
                : "These numbers are not up to date: they lack the last \(lag) of \(view.ledgerSequence) events."
        ]
        let wasted = snapshot.indicators.filter { $0.wasted.done > 0 }
        let counting = "Of each task only the last execution counts"
        if wasted.isEmpty {
            sentences.append("\(counting).")
        } else {
            let units = wasted.prefix(3).map {
                "\($0.wasted.done) of \($0.label?.quotation ?? "the default indicator")"
            }
            let more = wasted.count > 3 ? ", and of \(wasted.count - 3) more" : ""
            sentences.append(
                "\(counting): units that superseded executions had done are wasted and left out "
                    + "(\(units.joined(separator: ", "))\(more)).")
        }
        if snapshot.tasks.failed > 0 { sentences.append("What failed tasks had done counts until they are repeated.") }
        sentences.append(
            "The database accepts them only if each reported unit is counted, superseded or discarded.")
        switch verification {
        case nil: sentences.append("Their hash chain was not verified for this answer.")
        case let found? where found.isIntact: sentences.append("Their hash chain was verified, and is intact.")
        case let found?:
            sentences.append(
                "DO NOT TRUST THEM: event \(found.fault?.sequence ?? 0) was changed after it was recorded.")
        }
        return sentences
    }

    private static func time(_ moment: Timestamp) -> String { "\(PageText.dayAndClock(moment)) UTC" }
}
