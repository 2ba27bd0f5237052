public import Ledger

/// The criteria of a list of events; an event must meet all of them.
public struct EventSearch: Hashable, Sendable {
    /// The indicator that selects `progress` events.
    public struct Indicator: Hashable, Sendable {
        /// The label; nil is the default indicator.
        public var label: Name?

        public init(label: Name?) {
            self.label = label
        }
    }

    /// The sequence after (or, if descending, before) which the page starts.
    ///
    /// It is ``EventPage/nextAfter`` of the previous page.
    public var after: EventSequence?
    /// The most events in the page; 100 by default, 1,000 at most.
    ///
    /// It is not allowed for a stream.
    public var limit: Int?
    /// Whether the order is from the last event to the first.
    public var isDescending = false
    public var task: Name?
    /// The name of the execution as the ledger shows it.
    public var execution: Name?
    public var indicator: Indicator?
    public var type: EventType?
    public var verdict: Verdict?

    public init() {}
}
