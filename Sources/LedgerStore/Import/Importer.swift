internal import Ledger
internal import LedgerChain
internal import PQ

/// Takes over what another ledger has recorded, excerpt by excerpt: each is checked against the chain, is taken as a
/// whole or not at all, and may be sent again. So what is there is at every moment the beginning of what was exported.
struct Importer: Sendable {
    let pool: Pool

    private static let attemptsMax = 3
    /// How far the clock of another ledger may be ahead of this one's, in microseconds: five minutes.
    private static let aheadMax: Int64 = 300_000_000

    /// What has become of an excerpt.
    struct ImportedExcerpt: Sendable {
        /// How many of its events are new here.
        var appended: Int
        /// The last event of the job here.
        var place: ChainPosition
    }

    /// Why an excerpt is not taken.
    enum Refusal: Error {
        /// It does not fit together, or does not end as it says.
        case notWhole(String)
        /// It does not go on where the ledger of the job here stands, or this one has gone another way.
        case doesNotFollow(String)
        /// Another job has its key.
        case keyTaken
    }

    /// - Throws: ``Refusal`` or ``PQError``.
    func take(_ excerpt: LedgerExcerpt) async throws -> ImportedExcerpt {
        for attempt in 1... {
            do {
                return try await pool.withTransaction(deadline: .seconds(60)) { transaction in
                    try await take(excerpt, &transaction)
                }
            } catch let error as PQError {
                guard attempt < Self.attemptsMax else { throw error }
                if error.server?.constraint == "job_key_unique" { throw Refusal.keyTaken }
                if error.server?.constraint == "job_pkey" {
                    // Somebody else has begun the same import: the next attempt finds what is there.
                    continue
                }
                guard error.sqlState == .checkViolation, error.server?.table == "event",
                    error.server?.constraint == nil
                else { throw error }
                // The month in which the job was created has no partition here.
                try await makePartition(for: excerpt.job)
            }
        }
        throw PQError(.misuse, "not tried")
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
                throw Refusal.notWhole("the job's id says that it was created before 2020, or in the future")
            case "LG003":
                let hint = error.server?.hint.map { ". \($0)" } ?? ""
                throw Refusal.notWhole("\(error.server?.message ?? "too many partitions")\(hint)")
            default: throw error
            }
        }
    }

    private func take(_ excerpt: LedgerExcerpt, _ transaction: inout Transaction) async throws -> ImportedExcerpt {
        guard let first = excerpt.events.first, let last = excerpt.events.last else {
            throw Refusal.notWhole("it holds no event")
        }
        let (head, clock) = try await head(of: excerpt.job, &transaction)
        let stored = head?.place.sequence ?? 0
        guard first.event.sequence <= stored + 1 else {
            throw Refusal.doesNotFollow(
                "job \(excerpt.job) is here up to event \(stored), and the excerpt begins with \(first.event.sequence)")
        }
        // What is here already must be the same; by the chain, so is then all that is before it.
        if let known = excerpt.events.last(where: { $0.event.sequence <= stored }) {
            let hash = try await hash(of: known.event.sequence, excerpt.job, &transaction)
            guard hash == known.hash else {
                throw Refusal.doesNotFollow(
                    "the ledger of job \(excerpt.job) here has gone another way: its event \(known.event.sequence) has another hash"
                )
            }
        }
        let new = excerpt.events.filter { $0.event.sequence > stored }
        // What is appended here later may not be recorded before it.
        if let late = new.last(where: { $0.event.recordedAt.microseconds > clock.microseconds + Self.aheadMax }) {
            throw Refusal.notWhole("event \(late.event.sequence) was recorded in the future: whose clock is wrong?")
        }
        guard last.event.sequence > stored, let head = try await checked(new, excerpt, after: head) else {
            return ImportedExcerpt(appended: 0, place: head?.place ?? ChainPosition(sequence: 0, hash: []))
        }
        _ = try await transaction.commit(after: try Self.statements(new, excerpt.job, head))
        return ImportedExcerpt(appended: new.count, place: head.place)
    }

    private struct Head: Sendable {
        var place: ChainPosition
        var recordedAt: Timestamp
    }

    private func head(
        of job: JobID, _ transaction: inout Transaction
    ) async throws(PQError) -> (head: Head?, clock: Timestamp) {
        let results = try await transaction.pipeline([
            Query(
                "select sequence, hash, recorded_at from ledger.job_head where job_id = $1 for update",
                [.uuid(job.uuid)]),
            Query("select clock_timestamp()"),
        ])
        let clock = try results[1][0].timestamp(0)
        guard let row = results[0].first else { return (nil, clock) }
        let place = ChainPosition(sequence: try row.decode(0), hash: try row.decode(1))
        return (Head(place: place, recordedAt: try row.timestamp(2)), clock)
    }

    private func hash(
        of sequence: Int64, _ job: JobID, _ transaction: inout Transaction
    ) async throws(PQError) -> [UInt8]? {
        try await transaction.query(
            Query(
                "select hash from ledger.event where job_id = $1 and sequence = $2",
                [.uuid(job.uuid), .int8(sequence)])
        ).first?.decode(0)
    }

    /// Where the ledger stands after these events, which are checked on the way; away from the reactor, because it
    /// computes.
    private func checked(_ new: [RecordedEvent], _ excerpt: LedgerExcerpt, after head: Head?) async throws -> Head? {
        guard !new.isEmpty else { return nil }
        let result: Result<Head, Refusal> = await withTaskExecutorPreference(globalConcurrentExecutor) {
            do throws(Refusal) { return .success(try Self.check(new, excerpt, after: head)) } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    private static func check(
        _ new: [RecordedEvent], _ excerpt: LedgerExcerpt, after head: Head?
    ) throws(Refusal) -> Head {
        var check: ChainCheck
        if let head {
            check = ChainCheck(after: head.place, recordedAt: head.recordedAt, anchor: excerpt.head)
        } else {
            guard case .jobCreated(let description) = new[0].event.body else {
                throw .notWhole("the first event does not create the job")
            }
            // The ledger writes that event itself, and gives it no other time than its own.
            guard new[0].event.at == nil else { throw .notWhole("the first event has a time that no ledger gives it") }
            check = ChainCheck(
                job: excerpt.job, description: description, createdAt: new[0].event.recordedAt, anchor: excerpt.head)
        }
        for one in new where !check.check(one.event, hash: one.hash) {
            throw .notWhole(check.foundFault?.detail ?? "it does not fit together")
        }
        guard check.place.sequence <= excerpt.head.sequence else {
            throw .notWhole("it goes beyond event \(excerpt.head.sequence), which it says is the last")
        }
        return Head(place: check.place, recordedAt: new[new.count - 1].event.recordedAt)
    }

    private static func statements(_ new: [RecordedEvent], _ job: JobID, _ head: Head) throws(PQError) -> [Query] {
        var statements: [Query] = []
        var columns = EventColumns()
        for one in new {
            if case .jobCreated(let description) = one.event.body {
                statements += JobCreator.inserts(job, description, at: one.event.recordedAt, hash: one.hash)
            } else {
                columns.append(one.event, of: job, hash: one.hash)
            }
        }
        if columns.count > 0 {
            statements += [
                columns.insert,
                Query(
                    "update ledger.job_head set sequence = $2, recorded_at = $3, hash = $4 where job_id = $1",
                    [
                        .uuid(job.uuid), .int8(head.place.sequence),
                        .timestamptz(microsecondsSince1970: head.recordedAt.microseconds), .bytea(head.place.hash),
                    ]),
            ]
        }
        return statements
    }
}
