/// One immutable entry of the ledger.
public struct Event: Hashable, Sendable {
    /// The event's position in its job: 1, 2, 3 … without gaps.
    public let sequence: EventSequence
    /// The ledger's clock when the event was appended; never decreases within a job.
    public let recordedAt: Timestamp
    /// The caller's clock, if the caller gave it.
    ///
    /// It is stored and shown, and never used for ordering.
    public let at: Timestamp?
    /// The caller that appended it: `token:NAME`; nil without authentication.
    ///
    /// The server sets it. It is hashed, and does not belong to the content by which reports are compared.
    public let reporter: Name?
    /// The current work, or the cause of an end; nil if the caller gave none.
    ///
    /// Only progress and ends have one. Neither the message nor the link belongs to the content by which reports are
    /// compared.
    public var message: Name? { notes?.fields.message }
    /// The URL of more information, such as a log; nil if the caller gave none.
    ///
    /// Only events of executions have one.
    public var link: Name? { notes?.fields.link }
    /// The content of the event.
    public let body: EventBody

    let notes: Boxed<MessageAndLink>?

    public init(
        sequence: EventSequence, recordedAt: Timestamp, at: Timestamp? = nil, reporter: Name? = nil,
        message: Name? = nil, link: Name? = nil, body: EventBody
    ) {
        self.init(
            sequence: sequence, recordedAt: recordedAt, at: at, reporter: reporter, body: body,
            notes: MessageAndLink.boxed(message, link))
    }

    init(
        sequence: EventSequence, recordedAt: Timestamp, at: Timestamp?, reporter: Name?, body: EventBody,
        notes: Boxed<MessageAndLink>?
    ) {
        self.sequence = sequence
        self.recordedAt = recordedAt
        self.at = at
        self.reporter = reporter
        self.body = body
        self.notes = notes
    }
}
