internal import Ledger
internal import PQ

/// How far a projection of a job is, as a fold goes on from it: a snapshot's row without its indicators.
struct SnapshotRecord {
    let projection: Int16
    let progress: JobProgress

    /// The record that ``init(_:)`` reads, of the snapshot that has this name in the statement.
    static func of(_ name: String) -> String {
        let columns = [
            "projection", "sequence", "state", "created_at", "started_at", "updated_at", "finished_at", "tasks_running",
            "tasks_succeeded", "tasks_failed", "tasks_canceled", "executions",
        ]
        return "row(\(columns.map { "\(name).\($0)" }.joined(separator: ", ")))"
    }

    /// Reads the record.
    ///
    /// - Throws: ``PQError/Code/decoding`` where it is not what a projection stores.
    init(_ record: inout BinaryRow) throws(PQError) {
        projection = try Self.known(try record.int2())
        let sequence = try Self.known(try record.int8())
        guard let state = JobState(rawValue: try Self.known(try record.text())) else {
            throw PQError(.decoding, "a snapshot has an unknown state")
        }
        let createdAt = try record.timestamp().map { Timestamp($0) }
        let startedAt = try record.timestamp().map { Timestamp($0) }
        let updatedAt = try record.timestamp().map { Timestamp($0) }
        let finishedAt = try record.timestamp().map { Timestamp($0) }
        var tasks = TaskCounts()
        tasks.running = try Self.known(try record.int8())
        tasks.succeeded = try Self.known(try record.int8())
        tasks.failed = try Self.known(try record.int8())
        tasks.canceled = try Self.known(try record.int8())
        tasks.executions = try Self.known(try record.int8())
        progress = JobProgress(
            sequence: sequence, state: state, createdAt: createdAt, startedAt: startedAt, updatedAt: updatedAt,
            finishedAt: finishedAt, tasks: tasks)
    }

    private static func known<Value>(_ value: Value?) throws(PQError) -> Value {
        guard let value else { throw PQError(.decoding, "a snapshot lacks a value") }
        return value
    }
}
