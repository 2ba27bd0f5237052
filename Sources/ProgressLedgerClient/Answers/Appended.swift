public import Ledger

/// Where events were recorded.
public struct Appended: Hashable, Sendable {
    /// The sequences of the events, in their order.
    public let sequences: ClosedRange<Int64>
    /// What the fold made of them, in their order; nil where that was not asked for, or was not known in time.
    public let verdicts: [Verdict]?
}

/// Where events of several jobs were recorded.
public struct AppendedToJobs: Hashable, Sendable {
    /// How many events.
    public let count: Int
    /// Their sequences by their jobs.
    public let sequences: [JobID: ClosedRange<Int64>]
}

/// An execution that has begun and is the last of its task.
public struct StartedExecution: Hashable, Sendable {
    public let task: Name
    /// Its name: given, or found by the ledger.
    public let execution: Name?
    /// Its attempt; nil where the fold did not get there in time.
    public let attempt: Int32?
    /// The sequence of its first event.
    public let sequence: Int64
}

extension Appended: Decodable {
    private enum CodingKeys: String, CodingKey {
        case verdicts
        case firstSequence = "first_sequence"
        case lastSequence = "last_sequence"
    }

    public init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        sequences = try fields.sequences(.firstSequence, .lastSequence)
        verdicts = try fields.decodeIfPresent([String].self, forKey: .verdicts)?.map { text in
            guard let verdict = Verdict(rawValue: text) else {
                throw DecodingError.dataCorruptedError(
                    forKey: .verdicts, in: fields, debugDescription: "\(text) is no verdict")
            }
            return verdict
        }
    }
}

extension AppendedToJobs: Decodable {
    private enum CodingKeys: String, CodingKey {
        case appended, jobs
    }

    public init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        count = try fields.decode(Int.self, forKey: .appended)
        let ranges = try fields.decode([String: Appended].self, forKey: .jobs)
        sequences = try Dictionary(
            uniqueKeysWithValues: ranges.map { text, appended in
                guard let job = JobID(text) else {
                    throw DecodingError.dataCorruptedError(
                        forKey: .jobs, in: fields, debugDescription: "\(text) is no id of a job")
                }
                return (job, appended.sequences)
            })
    }
}

extension StartedExecution: Decodable {
    private enum CodingKeys: String, CodingKey {
        case task, execution, attempt, sequence
    }

    public init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        task = try fields.name(.task)
        execution = try fields.nameIfPresent(.execution)
        attempt = try fields.decodeIfPresent(Int32.self, forKey: .attempt)
        sequence = try fields.decode(Int64.self, forKey: .sequence)
    }
}
