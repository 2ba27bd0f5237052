/// An event with what the fold has made of it so far.
public struct ExplainedEvent: Hashable, Sendable {
    /// The event as it was recorded.
    public var event: Event
    /// Its link in the hash chain of its job, 32 bytes.
    public var hash: [UInt8]
    /// The name of its execution: as given, else of the execution that the fold found. Nil where it has none.
    public var execution: Name?
    /// The attempt of its execution: as given, else what the fold found. Nil while the fold has not reached it.
    public var attempt: Int32?
    /// The verdict now; nil while the projection has not reached the event.
    public var verdict: Verdict?
    /// Whether its execution was superseded already when it arrived.
    public var late: Bool
    /// The execution that superseded its own.
    public var supersededBy: ExecutionIdentity?
    /// The sequence of the earlier event that bears the same report number, for a duplicate and its conflict.
    public var duplicateOf: Int64?

    public init(
        event: Event, hash: [UInt8], execution: Name? = nil, attempt: Int32? = nil, verdict: Verdict? = nil,
        late: Bool = false, supersededBy: ExecutionIdentity? = nil, duplicateOf: Int64? = nil
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
