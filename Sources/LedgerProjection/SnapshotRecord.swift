internal import Ledger
internal import LedgerStore
internal import PQ

/// The row of a snapshot without its indicators, from which a fold continues.
struct SnapshotRecord {
    let projection: Int16
    let progress: JobProgress
    /// The encoded state of its estimates; nil if there is none.
    let estimate: [UInt8]?

    init(projection: Int16, progress: JobProgress, estimate: [UInt8]?) {
        self.projection = projection
        self.progress = progress
        self.estimate = estimate
    }

    /// Returns the SQL of the record that ``init(_:)`` decodes.
    ///
    /// - Parameter name: The alias of the snapshot in the statement.
    static func record(of name: String) -> String {
        let columns = [
            "projection", "sequence", "state", "created_at", "started_at", "updated_at", "finished_at", "tasks_running",
            "tasks_succeeded", "tasks_failed", "tasks_canceled", "executions", "estimate", "message",
        ]
        return "row(\(columns.map { "\(name).\($0)" }.joined(separator: ", ")))"
    }

    /// Decodes the record.
    ///
    /// - Throws: ``PQError/Code/decoding`` if it is not in the format that a projection stores.
    init(_ record: inout BinaryRow) throws(PQError) {
        projection = try Self.required(try record.int2())
        let sequence = try Self.required(try record.sequence())
        guard let state = JobState(rawValue: try Self.required(try record.text())) else {
            throw PQError(.decoding, "a snapshot has an unknown state")
        }
        let createdAt = try record.timestamp().map { Timestamp($0) }
        let startedAt = try record.timestamp().map { Timestamp($0) }
        let updatedAt = try record.timestamp().map { Timestamp($0) }
        let finishedAt = try record.timestamp().map { Timestamp($0) }
        var tasks = TaskCounts()
        tasks.running = try Self.required(try record.int8())
        tasks.succeeded = try Self.required(try record.int8())
        tasks.failed = try Self.required(try record.int8())
        tasks.canceled = try Self.required(try record.int8())
        tasks.executions = try Self.required(try record.int8())
        estimate = try record.bytes()
        let message = try record.text().map { Name($0) }
        progress = JobProgress(
            sequence: sequence, state: state, createdAt: createdAt, startedAt: startedAt, updatedAt: updatedAt,
            finishedAt: finishedAt, tasks: tasks, message: message)
    }

    private static func required<Value>(_ value: Value?) throws(PQError) -> Value {
        guard let value else { throw PQError(.decoding, "a snapshot lacks a value") }
        return value
    }
}
