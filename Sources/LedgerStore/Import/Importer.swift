internal import Ledger
internal import LedgerChain
internal import PQ

/// Imports excerpts of another ledger.
///
/// Each excerpt is verified against the hash chain, is imported all or nothing, and may be sent again. The imported
/// part is therefore always the beginning of the exported ledger.
struct Importer: Sendable {
    let pool: Pool
    /// The version of the map that the shard must have.
    ///
    /// `nil` for no such condition.
    var mapVersion: Int64?

    private static let attemptsMax = 3
    /// The time by which another ledger's clock may be ahead: 5 min, in microseconds.
    private static let aheadMax: Int64 = 300_000_000

    /// The reason why an excerpt is refused.
    enum Refusal: Error {
        /// Its events do not form a chain, or do not end as it states.
        case invalid(String)
        /// It does not continue this ledger, or contradicts it.
        case conflict(String)
        /// Another job has its key.
        case keyTaken
        /// The shard has another version of the map than the caller.
        case otherMap
    }

    /// Imports an excerpt.
    ///
    /// - Throws: ``Refusal`` or ``PQError``.
    func importExcerpt(_ excerpt: LedgerExcerpt) async throws -> ImportResult {
        for _ in 1..<Self.attemptsMax {
            do {
                return try await attempt(excerpt)
            } catch let error as PQError {
                if error.violates("job_key_unique") { throw Refusal.keyTaken }
                if error.violates("job_pkey") {
                    // Another request started the same import. The next attempt finds its events.
                    continue
                }
                guard error.isMissingPartition else { throw error }
                // The month in which the job was created has no partition here.
                try await makePartition(for: excerpt.job)
            }
        }
        return try await attempt(excerpt)
    }

    /// Checks that an excerpt could be imported now. Nothing is imported.
    ///
    /// - Throws: ``Refusal`` or ``PQError``.
    func check(_ excerpt: LedgerExcerpt) async throws {
        try await makePartition(for: excerpt.job)
        try await pool.withTransaction { transaction in
            _ = try await plan(excerpt, &transaction)
        }
    }

    private func attempt(_ excerpt: LedgerExcerpt) async throws -> ImportResult {
        try await pool.withTransaction(deadline: .seconds(60)) { transaction in
            if let mapVersion {
                let results = try await transaction.pipeline([ShardStore.shareMap, ShardStore.state])
                guard try ShardStore.isCurrent(mapVersion, results[1]) else { throw Refusal.otherMap }
            }
            return try await importExcerpt(excerpt, &transaction)
        }
    }

    private func makePartition(for job: JobID) async throws {
        let milliseconds = Int64(job.high >> 16)
        do throws(PQError) {
            _ = try await pool.query(
                Query(
                    "select ledger.make_event_partition(to_timestamp($1::float8 / 1000))",
                    [.float8(Double(milliseconds))]))
        } catch {
            switch error.sqlState?.rawValue {
            case "LG002":
                throw Refusal.invalid("the job's id contains a creation time before 2020, or in the future")
            case "LG003":
                let hint = error.server?.hint.map { ". \($0)" } ?? ""
                throw Refusal.invalid("\(error.server?.message ?? "too many partitions")\(hint)")
            default: throw error
            }
        }
    }

    private func importExcerpt(
        _ excerpt: LedgerExcerpt, _ transaction: inout Transaction
    ) async throws -> ImportResult {
        let (stored, new) = try await plan(excerpt, &transaction)
        guard !new.isEmpty, let head = try await checked(new, excerpt, after: stored) else {
            return ImportResult(
                job: excerpt.job, appended: 0, position: stored?.position ?? ChainPosition(sequence: 0, hash: .none))
        }
        _ = try await transaction.commit(after: try Self.statements(new, excerpt.job, head))
        return ImportResult(job: excerpt.job, appended: new.count, position: head.position)
    }

    /// Returns the stored head, and the events of an excerpt that are new after it.
    private func plan(
        _ excerpt: LedgerExcerpt, _ transaction: inout Transaction
    ) async throws -> (stored: JobHead?, new: [RecordedEvent]) {
        guard let first = excerpt.events.first else {
            throw Refusal.invalid("the excerpt contains no events")
        }
        let (head, clock) = try await head(of: excerpt.job, &transaction)
        guard !(head?.isRetired ?? false) else {
            throw Refusal.conflict(
                "job \(excerpt.job) was retired from this ledger: import its export into another one")
        }
        let stored = head?.sequence ?? 0
        guard first.event.sequence <= stored + 1 else {
            throw Refusal.conflict(
                "this ledger has job \(excerpt.job) up to event \(stored), but the excerpt begins with \(first.event.sequence)"
            )
        }
        // Events that are already here must be the same. The chain then proves the same for all earlier events.
        if let present = excerpt.events.last(where: { $0.event.sequence <= stored }) {
            let hash = try await hash(of: present.event.sequence, excerpt.job, &transaction)
            guard hash == present.hash else {
                throw Refusal.conflict(
                    "job \(excerpt.job) has another history in this ledger: its event \(present.event.sequence) has another hash"
                )
            }
        }
        let new = excerpt.events.filter { $0.event.sequence > stored }
        // A later append here must not be recorded before an imported event.
        if let late = new.last(where: { $0.event.recordedAt.microseconds > clock.microseconds + Self.aheadMax }) {
            throw Refusal.invalid(
                "event \(late.event.sequence) was recorded in the future: check the clocks of both machines")
        }
        return (head, new)
    }

    private func head(
        of job: JobID, _ transaction: inout Transaction
    ) async throws -> (head: JobHead?, clock: Timestamp) {
        let results = try await transaction.pipeline([
            Query(
                """
                select sequence, hash, recorded_at, retired_hash is not null
                from ledger.job_head
                where job_id = $1
                for update
                """, [.uuid(job.uuid)]),
            Query("select clock_timestamp()"),
            Query("select exists (select from ledger.moved_job where job_id = $1)", [.uuid(job.uuid)]),
        ])
        let clock = try results[1][0].decode(0, as: Timestamp.self)
        guard let row = results[0].first else {
            // It was moved, perhaps while this waited for its head. The caller looks for it again.
            guard try !results[2][0].decode(0, as: Bool.self) else { throw Refusal.otherMap }
            return (nil, clock)
        }
        let head = JobHead(
            sequence: try row.decode(0), recordedAt: try row.decode(2),
            chain: HashChain(lastHash: try row.decode(1, as: EventHash.self)), isRetired: try row.decode(3))
        return (head, clock)
    }

    private func hash(
        of sequence: EventSequence, _ job: JobID, _ transaction: inout Transaction
    ) async throws(PQError) -> EventHash? {
        try await transaction.query(
            Query(
                "select hash from ledger.event where job_id = $1 and sequence = $2",
                [.uuid(job.uuid), .sequence(sequence)])
        ).first?.decode(0, as: EventHash.self)
    }

    /// Verifies these events and returns the head after them.
    private func checked(
        _ new: [RecordedEvent], _ excerpt: LedgerExcerpt, after head: JobHead?
    ) async throws -> JobHead? {
        guard !new.isEmpty else { return nil }
        return try await ComputeThreads.run { () throws(Refusal) in try Self.check(new, excerpt, after: head) }
    }

    /// Verifies an excerpt that begins with the creation of its job.
    ///
    /// - Throws: ``Refusal``.
    static func verify(_ excerpt: LedgerExcerpt) async throws {
        guard !excerpt.events.isEmpty else { throw Refusal.invalid("the excerpt contains no events") }
        _ = try await ComputeThreads.run { () throws(Refusal) in try check(excerpt.events, excerpt, after: nil) }
    }

    /// Verifies events that follow a head, and returns the head after them.
    static func check(
        _ new: [RecordedEvent], _ excerpt: LedgerExcerpt, after head: JobHead?
    ) throws(Refusal) -> JobHead {
        var verifier: ChainVerifier
        if let head {
            verifier = ChainVerifier(after: head.position, recordedAt: head.recordedAt, anchor: excerpt.head)
        } else {
            guard case .jobCreated(let description) = new[0].event.body else {
                throw .invalid("the first event does not create the job")
            }
            // The ledger itself writes the first event and never gives it a time of the caller.
            guard new[0].event.at == nil else {
                throw .invalid("the first event has a time of the caller, which a ledger never writes")
            }
            verifier = ChainVerifier(
                job: excerpt.job, description: description, createdAt: new[0].event.recordedAt, anchor: excerpt.head)
        }
        for one in new where !verifier.check(one.event, hash: one.hash) {
            throw .invalid(verifier.foundFault?.detail ?? "the events do not form a chain")
        }
        guard verifier.position.sequence <= excerpt.head.sequence else {
            throw .invalid("the events go beyond event \(excerpt.head.sequence), which the excerpt states as the last")
        }
        return JobHead(
            sequence: verifier.position.sequence, recordedAt: new[new.count - 1].event.recordedAt,
            chain: HashChain(lastHash: verifier.position.hash))
    }

    /// The statements that insert events, up to a new head.
    static func statements(_ new: [RecordedEvent], _ job: JobID, _ head: JobHead) throws(PQError) -> [Query] {
        var statements: [Query] = []
        var columns = EventColumns()
        for one in new {
            if case .jobCreated(let description) = one.event.body {
                statements += JobCreator.inserts(
                    job, description, at: one.event.recordedAt, by: one.event.reporter, hash: one.hash)
            } else {
                columns.append(one.event, of: job, hash: one.hash)
            }
        }
        if let last = new.last {
            statements.append(
                DeliveryStore.raiseFloor(
                    "values ($1::uuid, $2::bigint)", [.uuid(job.uuid), .sequence(last.event.sequence)]))
        }
        if columns.count > 0 {
            statements += [
                columns.insert,
                Query(
                    "update ledger.job_head set sequence = $2, recorded_at = $3, hash = $4 where job_id = $1",
                    [
                        .uuid(job.uuid), .sequence(head.sequence), .timestamp(head.recordedAt),
                        .bytea(head.chain.lastHash.bytea),
                    ]),
            ]
        }
        return statements
    }
}
