internal import Ledger
internal import LedgerChain
internal import PQ

/// Reads a job's events in order and verifies their hash chain.
///
/// Nothing is locked: events never change, and later appends are beyond the head that was read at the beginning.
struct ChainReader: Sendable {
    let pool: Pool

    /// The number of events that are read at once.
    private static let pageSize: Int = 2_000

    /// Verifies a range of a job's ledger, or returns `nil` if the job does not exist.
    func verify(_ job: JobID, _ range: Verification.Range) async throws(PQError) -> Verification? {
        guard let start = try await start(job) else { return nil }
        if let retirement = start.retirement, start.lastStored == 0 {
            return Self.verification(retirement, start, range.anchor)
        }
        // If there is no head, the last event is the end.
        let end = start.head?.sequence ?? start.lastStored
        var verifier = try await self.verifier(job, start, range)
        var position = verifier.position.sequence
        // A caller may begin beyond the end.
        let rest = max(0, end - position)
        let last = position + min(rest, range.limit ?? rest)
        while position < last, verifier.foundFault == nil {
            let rows = try await read(job, after: position, through: last)
            guard let row = rows.last else { break }
            position = try row.decode(0, as: EventSequence.self)
            _ = Self.check(rows, &verifier)
        }
        // The head is compared only at the end of the ledger.
        if last >= end || verifier.position.sequence < last {
            verifier.finish(head: start.head, headRecordedAt: start.headRecordedAt, lastStored: start.lastStored)
        }
        var verification = verifier.verification(ledgerSequence: end)
        verification.retiredAt = start.retirement?.retiredAt
        return verification
    }

    /// Compares the record of a retirement with the head and an anchor.
    private static func verification(
        _ retirement: Retirement, _ start: Start, _ anchor: ChainPosition?
    ) -> Verification {
        let position = retirement.position
        var verification = Verification(
            sequence: position.sequence, headHash: position.hash, ledgerSequence: position.sequence,
            retiredAt: retirement.retiredAt)
        if start.head != position || start.retiredHash != position.hash {
            verification.fault = Verification.Fault(
                .head, at: position.sequence, "the head differs from the record of the job's retirement")
        } else if let anchor, anchor.sequence > position.sequence {
            verification.fault = Verification.Fault(
                .anchor, at: position.sequence + 1,
                "the ledger was anchored at event \(anchor.sequence), but was retired at \(position.sequence)")
        } else if let anchor, anchor.sequence == position.sequence, anchor.hash != position.hash {
            verification.fault = Verification.Fault(
                .anchor, at: position.sequence, "the job was retired at another hash than the anchored one")
        }
        return verification
    }

    /// Creates a verifier that begins at the start of the range.
    ///
    /// It already contains a fault if the event there has changed.
    private func verifier(
        _ job: JobID, _ start: Start, _ range: Verification.Range
    ) async throws(PQError) -> ChainVerifier {
        guard let after = range.after, after.sequence > 0 else {
            return ChainVerifier(
                job: job, description: start.description, createdAt: start.createdAt, anchor: range.anchor)
        }
        let rows = try await pool.query(
            Query(
                "select recorded_at, hash from ledger.event where job_id = $1 and sequence = $2",
                [.uuid(job.uuid), .sequence(after.sequence)]))
        let recordedAt = try rows.first?.decode(0, as: Timestamp.self) ?? .earliest
        var verifier = ChainVerifier(after: after, recordedAt: recordedAt, anchor: range.anchor)
        let stored = try rows.first.map { row throws(PQError) in try Self.storedHash(row, 1) }
        if stored != after.hash { verifier.recordChangedStart() }
        return verifier
    }

    /// Reads a part of a job's ledger as recorded, or `nil` if the job does not exist.
    func excerpt(_ job: JobID, after sequence: EventSequence, limit: Int) async throws(PQError) -> LedgerExcerpt? {
        guard let head = try await start(job)?.head else { return nil }
        return try await excerpt(job, through: head, after: sequence, limit: limit)
    }

    /// Reads a part of a job's ledger up to a head that was read before.
    func excerpt(
        _ job: JobID, through head: ChainPosition, after sequence: EventSequence, limit: Int
    ) async throws(PQError) -> LedgerExcerpt {
        var excerpt = LedgerExcerpt(job: job, head: head)
        for row in try await read(job, after: sequence, through: head.sequence, limit: limit) {
            var columns = row.columns
            let (event, hash) = try EventRow.decode(&columns)
            excerpt.events.append(RecordedEvent(event: event, hash: hash))
        }
        return excerpt
    }

    /// Reads heads in the order of their job ids.
    func heads(after cursor: JobID?, limit: Int) async throws(PQError) -> [LedgerHead] {
        let rows = try await pool.query(
            Query(
                """
                select job.job_id, head.sequence, head.hash
                from (select job_id from ledger.job where job_id > $1 order by job_id limit $2) as job
                left join ledger.job_head as head on head.job_id = job.job_id
                order by job.job_id
                """, [.uuid((cursor ?? JobID(high: 0, low: 0)).uuid), .int8(Int64(limit))]))
        var heads: [LedgerHead] = []
        for row in rows {
            var position: ChainPosition?
            if let sequence = try row.decodeIfPresent(1, as: EventSequence.self) {
                position = ChainPosition(sequence: sequence, hash: try Self.storedHash(row, 2))
            }
            heads.append(LedgerHead(job: try row.decode(0, as: JobID.self), position: position))
        }
        return heads
    }

    /// Reads a stored hash; a hash that is not 32 bytes long matches no event.
    private static func storedHash(_ row: Row, _ column: Int) throws(PQError) -> EventHash {
        EventHash(bytes: try row.decode(column, as: [UInt8].self)) ?? .none
    }

    private struct Start {
        var description: JobDescription
        var createdAt: Timestamp
        var lastStored: EventSequence
        var headRecordedAt: Timestamp?
        var head: ChainPosition?
        var retiredHash: EventHash?
        var retirement: Retirement?
    }

    /// Reads the job, its head and its last event in one statement, as of one moment.
    private func start(_ job: JobID) async throws(PQError) -> Start? {
        let rows = try await pool.query(
            Query(
                """
                select
                    job.name, job.key, \(TagColumns.columns(of: "job.tags")), job.created_at,
                    (select max(sequence) from ledger.event where event.job_id = job.job_id), head.recorded_at,
                    head.sequence, head.hash, head.retired_hash, \(RetirementRow.columns)
                from ledger.job
                left join ledger.job_head as head on head.job_id = job.job_id
                left join ledger.retirement on retirement.job_id = job.job_id
                where job.job_id = $1
                """, [.uuid(job.uuid)]))
        guard let row = rows.first else { return nil }
        var columns = row.columns
        let description = JobDescription(
            name: try columns.next(), key: try columns.nextIfPresent(), tags: try TagColumns.decode(&columns))
        var start = Start(
            description: description, createdAt: try columns.next(), lastStored: try columns.nextIfPresent() ?? 0,
            headRecordedAt: try columns.nextIfPresent())
        if let sequence = try columns.nextIfPresent(EventSequence.self) {
            start.head = ChainPosition(
                sequence: sequence, hash: EventHash(bytes: try columns.next([UInt8].self)) ?? .none)
        } else {
            columns.skip(1)
        }
        start.retiredHash = try columns.nextIfPresent([UInt8].self).map { EventHash(bytes: $0) ?? .none }
        start.retirement = try RetirementRow.decodeIfPresent(&columns)
        return start
    }

    private func read(
        _ job: JobID, after position: EventSequence, through end: EventSequence, limit: Int = pageSize
    ) async throws(PQError) -> Rows {
        try await pool.query(
            Query(
                """
                select \(EventRow.columns), \(Self.hasForeignFields)
                from \(EventRow.table)
                where event.job_id = $1 and event.sequence > $2 and event.sequence <= $3
                order by event.sequence
                limit $4
                """, [.uuid(job.uuid), .sequence(position), .sequence(end), .int8(Int64(limit))]))
    }

    /// The expression that detects data in columns that the hash does not cover.
    ///
    /// An event's type determines its columns. Tags that the ledger would write in another form, though they read the
    /// same, also count.
    private static let hasForeignFields = """
        coalesce(
            case event.type
                when 1 then num_nonnulls(
                    event.task, event.execution, event.attempt, event.report, event.label, event.total, event.done,
                    event.outcome, event.message, event.link, event.unit, event.part, event.carried
                ) > 0 or event.tags is not distinct from '{}' or exists (
                    select from jsonb_each(event.tags) as tag where jsonb_typeof(tag.value) <> 'string'
                )
                when 2 then num_nonnulls(
                    event.report, event.label, event.total, event.done, event.outcome, event.name, event.key, event.tags,
                    event.message, event.unit, event.part, event.carried
                ) > 0
                when 3 then num_nonnulls(event.outcome, event.name, event.key, event.tags) > 0
                when 4 then num_nonnulls(
                    event.report, event.label, event.total, event.done, event.name, event.key, event.tags,
                    event.unit, event.part, event.carried
                ) > 0
                when 5 then num_nonnulls(
                    event.task, event.execution, event.attempt, event.report, event.label, event.total, event.done,
                    event.name, event.key, event.tags, event.link, event.unit, event.part, event.carried
                ) > 0
            end, true
        )
        """

    /// Whether these rows continue the chain without a fault.
    private static func check(_ rows: Rows, _ verifier: inout ChainVerifier) -> Bool {
        for row in rows {
            do throws(PQError) {
                var columns = row.columns
                let (event, hash) = try EventRow.decode(&columns)
                if try columns.next(Bool.self) {
                    verifier.recordUnusedColumns()
                    return false
                }
                guard verifier.check(event, hash: hash) else { return false }
            } catch {
                verifier.recordUnreadableEvent()
                return false
            }
        }
        return true
    }
}
