internal import LedgerStore
internal import PQ

/// The limit for batches: COPY of the same rows into PostgreSQL.
///
/// Each batch is a separate transaction. The number of connections is that of the ledger's load.
struct CopyLimit {
    let machine: BenchmarkMachine
    let database: Pool
    let connections: Int
    var table = LimitTable.events

    /// Runs the load.
    ///
    /// - Parameters:
    ///   - jobs: The number of different jobs in a batch.
    ///   - first: The sequence of the first row. The ranges of different rounds must not overlap.
    func run(batch: Int, jobs: Int, seconds: Double, first: Int64) async throws -> LimitResult {
        let process = machine.postgresProcess
        let prefix = try await database.query(Query("select ledger.first_job_id(clock_timestamp())"))[0]
            .decode(0, as: UUIDBytes.self)
        let before = ProcessUsage.secondsWithChildren(of: process)
        let start = ContinuousClock.now
        let end = start + .seconds(seconds)
        let (database, table) = (database, table)
        let done = try await withThrowingTaskGroup(of: (Int, Latencies).self) { group in
            for connection in 0..<connections {
                let begin = first + Int64(connection) * 100_000_000
                group.addTask {
                    try await Self.fill(database, table, prefix, begin: begin, batch: batch, jobs: jobs, until: end)
                }
            }
            var sum = (count: 0, latencies: Latencies())
            for try await (count, latencies) in group {
                sum.count += count
                sum.latencies.add(latencies)
            }
            return sum
        }
        return LimitResult(
            perSecond: Double(done.count) / start.duration(to: .now).inSeconds, latencies: done.latencies,
            postgresSeconds: ProcessUsage.secondsWithChildren(of: process) - before, count: done.count)
    }

    private static func fill(
        _ database: Pool, _ table: LimitTable, _ prefix: UUIDBytes, begin: Int64, batch: Int, jobs: Int,
        until end: ContinuousClock.Instant
    ) async throws -> (Int, Latencies) {
        var sequence = begin
        var count = 0
        var latencies = Latencies()
        while ContinuousClock.now < end {
            var rows: [UInt8] = []
            for number in 0..<batch {
                if number % jobs == 0 { sequence += 1 }
                rows += row(job: UUIDBytes(high: prefix.high, low: prefix.low | UInt64(number % jobs)), sequence)
            }
            let encoded = rows
            let started = ContinuousClock.now
            count += try await database.withTransaction { transaction in
                try await transaction.copyIn(
                    """
                    copy \(table.rawValue) (
                        job_id, sequence, recorded_at, at, report, total, done, attempt, type, hash, task, execution,
                        label, outcome
                    ) from stdin (format binary)
                    """
                ) { writer in try await writer.rows(encoded: encoded) }
            }
            latencies.add(started.duration(to: .now))
        }
        return (count, latencies)
    }

    private static let hash = [UInt8](repeating: 7, count: 32)

    private static func row(job: UUIDBytes, _ sequence: Int64) -> [UInt8] {
        let task = "task-\(sequence % 100)"
        return CopyWriter.encoded(row: [
            .uuid(job), .int8(sequence), .timestamptz(microsecondsSince1970: 1_790_000_000_000_000),
            .timestamptz(microsecondsSince1970: nil), .int8(sequence), .int8(0), .int8(1), .int4(1), .int2(3),
            .bytea(hash), .text(task), .text("\(task)-1"), .text("rows"), .text(nil),
        ])
    }
}
