/// An event with the fold's current classification of it.
public struct ExplainedEvent: Hashable, Sendable {
    /// The event as it was recorded.
    public var event: Event
    /// Its link in the hash chain of its job, 32 bytes.
    public var hash: EventHash
    /// The name of its execution; nil if the execution has none.
    ///
    /// The name that the caller gave, or else the name of the execution that the fold found.
    public var execution: Name?
    /// The attempt of its execution; nil until the fold has reached the event.
    ///
    /// The attempt that the caller gave, or else the attempt that the fold found.
    public var attempt: Int32?
    /// The current verdict; nil until the projection has reached the event.
    public var verdict: Verdict?
    /// Whether its execution was superseded already when the event arrived.
    public var late: Bool
    /// The execution that superseded its execution.
    public var supersededBy: ExecutionIdentity?
    /// The sequence of the earlier event with the same report number.
    ///
    /// Set for a duplicate, and for a conflict with that number.
    public var duplicateOf: EventSequence?

    public init(
        event: Event, hash: EventHash, execution: Name? = nil, attempt: Int32? = nil, verdict: Verdict? = nil,
        late: Bool = false, supersededBy: ExecutionIdentity? = nil, duplicateOf: EventSequence? = nil
    ) {
        self.event = event
        self.hash = hash
        self.execution = execution
        self.attempt = attempt
        self.verdict = verdict
        self.late = late
        self.supersededBy = supersededBy
        self.duplicateOf = duplicateOf
    }
}
