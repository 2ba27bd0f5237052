/// A filter of events: an event must match every given value.
public struct EventFilter: Hashable, Sendable {
    /// The order of sequences.
    public enum Order: String, CaseIterable, Hashable, Sendable {
        case ascending = "asc"
        case descending = "desc"
    }

    /// A label to filter by. A `nil` label is the default indicator.
    public struct Indicator: Hashable, Sendable {
        public var label: Name?

        public init(label: Name?) {
            self.label = label
        }
    }

    /// The order of the returned events.
    public var order: Order
    /// The task that the event names.
    public var task: Name?
    /// The displayed name of the execution, given by the event or derived by the fold.
    public var execution: Name?
    /// Only `progress` events of this indicator.
    public var indicator: Indicator?
    /// The type of the event.
    public var type: EventType?
    /// The verdict of the fold; events that are not folded yet have none.
    public var verdict: Verdict?

    public init(
        order: Order = .ascending, task: Name? = nil, execution: Name? = nil, indicator: Indicator? = nil,
        type: EventType? = nil, verdict: Verdict? = nil
    ) {
        self.order = order
        self.task = task
        self.execution = execution
        self.indicator = indicator
        self.type = type
        self.verdict = verdict
    }
}
