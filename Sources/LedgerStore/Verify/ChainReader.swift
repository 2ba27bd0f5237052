internal import Ledger
internal import PQ

/// Reads a job's ledger from the first event to its head, and has it checked. Nothing is locked: events never change, and
/// what is appended meanwhile is beyond the head that was read at the beginning.
struct ChainReader: Sendable {
    let pool: Pool

    /// Events read at once.
    private static let pageSize: Int64 = 2_000

    /// What is wrong with the ledger of a job, if anything; nil where there is no such job.
    func verify(_ job: JobID) async throws(PQError) -> Verification? {
        guard let start = try await start(job) else { return nil }
        var check = ChainCheck(job: job, description: start.description, createdAt: start.createdAt)
        // Without a head there is no end but the last event.
        let end = start.head?.sequence ?? start.lastStored
        var position: Int64 = 0
        while position < end {
            let rows = try await read(job, after: position, through: end)
            guard let last = rows.last else { break }
            position = try last.decode(0)
            guard Self.check(rows, &check) else { return check.verification }
        }
        check.finish(head: start.head, lastStored: start.lastStored)
        return check.verification
    }

    private struct Start {
        var description: JobDescription
        var createdAt: Timestamp
        var head: (sequence: Int64, hash: [UInt8])?
        var lastStored: Int64
    }

    /// All of it is from one moment: one statement.
    private func start(_ job: JobID) async throws(PQError) -> Start? {
        let rows = try await pool.query(
            Query(
                """
                select
                    job.name, job.key, array(select key from jsonb_each_text(job.tags)),
                    array(select value from jsonb_each_text(job.tags)), job.created_at, head.sequence, head.hash,
                    (select max(sequence) from ledger.event where event.job_id = job.job_id)
                from ledger.job
                left join ledger.job_head as head on head.job_id = job.job_id
                where job.job_id = $1
                """, [.uuid(job.uuid)]))
        guard let row = rows.first else { return nil }
        var tags: [Name: Name] = [:]
        let contents = try row.decode(3, as: [String].self)
        for (name, content) in zip(try row.decode(2, as: [String].self), contents) { tags[Name(name)] = Name(content) }
        var head: (sequence: Int64, hash: [UInt8])?
        if let sequence = try row.decodeIfPresent(5, as: Int64.self) {
            head = (sequence, try row.decode(6, as: [UInt8].self))
        }
        return Start(
            description: JobDescription(name: try row.name(0), key: try row.nameIfPresent(1), tags: tags),
            createdAt: try row.timestamp(4), head: head, lastStored: try row.decodeIfPresent(7) ?? 0)
    }

    private func read(_ job: JobID, after position: Int64, through end: Int64) async throws(PQError) -> Rows {
        try await pool.query(
            Query(
                """
                select \(EventRow.columns)
                from \(EventRow.table)
                where event.job_id = $1 and event.sequence > $2 and event.sequence <= $3
                order by event.sequence
                limit $4
                """, [.uuid(job.uuid), .int8(position), .int8(end), .int8(Self.pageSize)]))
    }

    /// Whether these rows are in order.
    private static func check(_ rows: Rows, _ check: inout ChainCheck) -> Bool {
        for row in rows {
            do throws(PQError) {
                let (event, hash) = try EventRow.decode(row)
                guard check.check(event, hash: hash) else { return false }
            } catch {
                check.noteUnreadable()
                return false
            }
        }
        return true
    }
}
