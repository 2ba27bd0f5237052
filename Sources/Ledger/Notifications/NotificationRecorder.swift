/// Finds the causes of notifications while the events of a job are folded.
public struct NotificationRecorder: Sendable {
    /// The maximum number of causes of each kind, the newest ones.
    ///
    /// A subscriber learns nothing from more of them at once.
    public static let causesPerKindMax = 20

    private let job: JobID
    /// The subscriptions to the job.
    private let subscriptions: [Subscription]
    /// The thresholds that some of them ask for.
    private let thresholds: [Int]
    private let seesDecreases: Bool
    private var stateBefore: JobState
    private var hasStarted: Bool
    private var counts: [NotificationKind: Int] = [:]
    /// The causes, oldest first.
    public private(set) var causes: [NotificationCause] = []

    /// Creates a recorder for the next events of a job.
    ///
    /// - Parameters:
    ///   - subscriptions: The subscriptions to the job.
    ///   - progress: The state before the events.
    public init(_ job: JobID, _ subscriptions: [Subscription], after progress: JobProgress) {
        self.job = job
        self.subscriptions = subscriptions
        thresholds = Self.thresholds(of: subscriptions)
        seesDecreases = subscriptions.contains { $0.kind(for: .decreased) != nil }
        stateBefore = progress.state
        hasStarted = progress.startedAt != nil
    }

    /// The thresholds of percentages that some of these subscriptions ask for.
    public static func thresholds(of subscriptions: [Subscription]) -> [Int] {
        Set(
            subscriptions.flatMap(\.kinds).compactMap { kind in
                if case .percent(let threshold) = kind { threshold } else { nil }
            }
        ).sorted()
    }

    /// Records an event after the fold has applied it.
    public mutating func record(_ event: Event, _ decision: Fold.Decision, in fold: Fold) {
        let state = fold.progress.state
        if !hasStarted, fold.progress.startedAt != nil {
            hasStarted = true
            add(.started, event)
        }
        if event.body.type == .jobFinished {
            if let kind = NotificationKind(ending: state) { add(kind, event) }
        } else if stateBefore != .running, state == .running {
            add(.reopened, event)
        }
        stateBefore = state
        if seesDecreases, decision.superseded != nil, fold.decreasesDone(event, decision) { add(.decreased, event) }
    }

    /// Records the thresholds that the percentage has passed.
    ///
    /// - Parameters:
    ///   - event: The sequence and the time of the last event.
    ///   - before: The percentage before the events; nil if there was none.
    public mutating func recordPercent(
        from before: Int?, to after: Int?, by event: (sequence: EventSequence, at: Timestamp)
    ) {
        guard let after else { return }
        for threshold in thresholds where (before ?? 0) < threshold && threshold <= after {
            add(.percent(threshold), event.sequence, event.at)
        }
    }

    private mutating func add(_ kind: NotificationKind, _ event: Event) {
        add(kind, event.sequence, event.recordedAt)
    }

    private mutating func add(_ kind: NotificationKind, _ sequence: EventSequence, _ moment: Timestamp) {
        guard subscriptions.contains(where: { $0.kind(for: kind) != nil }) else { return }
        if counts[kind, default: 0] == Self.causesPerKindMax,
            let oldest = causes.firstIndex(where: { $0.kind == kind })
        {
            causes.remove(at: oldest)
        } else {
            counts[kind, default: 0] += 1
        }
        causes.append(NotificationCause(job: job, kind: kind, origin: .event(sequence), at: moment))
    }

    /// The notifications of the causes, by subscription.
    public var notifications: [(subscription: Subscription.ID, cause: NotificationCause)] {
        causes.flatMap { cause in
            subscriptions.compactMap { subscription in
                subscription.kind(for: cause.kind).map { kind in
                    (subscription.id, NotificationCause(job: job, kind: kind, origin: cause.origin, at: cause.at))
                }
            }
        }
    }
}

extension Fold {
    /// Whether an event that superseded an execution decreased a `done`.
    ///
    /// The event may itself report units that make up for those of the superseded execution.
    func decreasesDone(_ event: Event, _ decision: Decision) -> Bool {
        guard let superseded = decision.superseded.flatMap({ execution($0) }) else { return false }
        let reported: Int64 =
            if case .progress(let report) = event.body, decision.verdict == .counted { report.done ?? 0 } else { 0 }
        return superseded.contributions.entries.contains { entry in
            entry.units.done > (entry.indicator == decision.indicator ? Int128(reported) : 0)
        }
    }
}
