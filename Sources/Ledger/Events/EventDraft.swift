/// An event that is not in the ledger yet: it has no sequence and no recorded time.
public struct EventDraft: Hashable, Sendable {
    /// The caller's clock, if the caller gave it.
    public let at: Timestamp?
    /// The caller that appends it; nil without authentication. Only the server sets it.
    public var reporter: Name?
    /// The current work, or the cause of an end.
    public var message: Name? { notes?.fields.message }
    /// The URL of more information.
    public var link: Name? { notes?.fields.link }
    /// The content of the event.
    public let body: EventBody
    private let notes: Boxed<MessageAndLink>?

    public init(
        _ body: EventBody, at: Timestamp? = nil, reporter: Name? = nil, message: Name? = nil, link: Name? = nil
    ) {
        self.at = at
        self.reporter = reporter
        self.body = body
        notes = MessageAndLink.boxed(message, link)
    }

    /// Creates the draft of which this event was recorded.
    public init(_ event: Event) {
        at = event.at
        reporter = event.reporter
        body = event.body
        notes = event.notes
    }

    /// Returns the event that the draft becomes at this sequence and time.
    public func recorded(sequence: EventSequence, at moment: Timestamp) -> Event {
        Event(sequence: sequence, recordedAt: moment, at: at, reporter: reporter, body: body, notes: notes)
    }

    /// The approximate memory of the draft, in bytes: its texts and a fixed part.
    package var approximateBytes: Int {
        var bytes = 200 + Self.byteCount(reporter)
        if let notes { bytes += Self.byteCount(notes.fields.message) + Self.byteCount(notes.fields.link) }
        switch body {
        case .jobCreated, .jobFinished: return bytes
        case .executionStarted(let reference), .executionFinished(let reference, _):
            return bytes + Self.byteCount(reference)
        case .progress(let report):
            return bytes + Self.byteCount(report.reference) + Self.byteCount(report.label) + Self.byteCount(report.unit)
                + Self.byteCount(report.part)
        }
    }

    private static func byteCount(_ name: Name?) -> Int { name?.text.utf8.count ?? 0 }

    private static func byteCount(_ reference: ExecutionReference) -> Int {
        byteCount(reference.task) + byteCount(reference.execution)
    }
}
