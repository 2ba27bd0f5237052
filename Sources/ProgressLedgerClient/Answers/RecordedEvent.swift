public import Ledger

/// An event of a job's history with its verdict, as a server told it. What does not apply is nil.
public struct RecordedEvent: Hashable, Sendable {
    public let sequence: Int64
    public let type: EventType
    public let task: Name?
    /// As given, or else as the fold found it: then ``inferred`` holds `execution`.
    public let execution: Name?
    /// As given, or else as the fold found it: then ``inferred`` holds `attempt`.
    public let attempt: Int32?
    public let report: Int64?
    public let label: Name?
    public let total: Int64?
    public let done: Int64?
    public let outcome: String?
    /// The caller's clock, RFC 3339.
    public let at: String?
    /// The ledger's clock, RFC 3339.
    public let recordedAt: String
    /// The fields shown that the event itself does not bear.
    public let inferred: [String]
    /// Nil while the projection has not reached the event.
    public let verdict: Verdict?
    /// Whether its execution was superseded already when it arrived.
    public let isLate: Bool
    public let duplicateOf: Int64?
    /// Its link in the hash chain, in hexadecimal digits.
    public let hash: String
}

/// A part of a history.
public struct EventPage: Hashable, Sendable, Decodable {
    public let events: [RecordedEvent]
    /// What to give as ``EventSearch/after`` for the next part; nil at the end.
    public let nextAfter: Int64?

    private enum CodingKeys: String, CodingKey {
        case events
        case nextAfter = "next_after"
    }
}

extension RecordedEvent: Decodable {
    private enum CodingKeys: String, CodingKey {
        case sequence, type, task, execution, attempt, report, label, total, done, outcome, at, inferred, verdict, late
        case hash
        case recordedAt = "recorded_at"
        case duplicateOf = "duplicate_of"
    }

    public init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        sequence = try fields.decode(Int64.self, forKey: .sequence)
        let typeName = try fields.decode(String.self, forKey: .type)
        guard let type = EventType(name: typeName) else {
            throw DecodingError.dataCorruptedError(
                forKey: .type, in: fields, debugDescription: "\(typeName) is no type of events")
        }
        self.type = type
        task = try fields.nameIfPresent(.task)
        execution = try fields.nameIfPresent(.execution)
        attempt = try fields.decodeIfPresent(Int32.self, forKey: .attempt)
        report = try fields.decodeIfPresent(Int64.self, forKey: .report)
        label = try fields.nameIfPresent(.label)
        total = try fields.decodeIfPresent(Int64.self, forKey: .total)
        done = try fields.decodeIfPresent(Int64.self, forKey: .done)
        outcome = try fields.decodeIfPresent(String.self, forKey: .outcome)
        at = try fields.decodeIfPresent(String.self, forKey: .at)
        recordedAt = try fields.decode(String.self, forKey: .recordedAt)
        inferred = try fields.decodeIfPresent([String].self, forKey: .inferred) ?? []
        verdict = try fields.wordIfPresent(.verdict)
        isLate = try fields.decodeIfPresent(Bool.self, forKey: .late) ?? false
        duplicateOf = try fields.decodeIfPresent(Int64.self, forKey: .duplicateOf)
        hash = try fields.decode(String.self, forKey: .hash)
    }
}
