internal import Ledger
internal import PQ

/// One append on its way: events of one or more jobs, all or nothing.
struct AppendRequest: Sendable {
    /// The drafts of one job, in order.
    struct Part: Sendable {
        let job: JobID
        var drafts: [EventDraft]
    }

    /// One part for each job.
    let parts: [Part]
    /// How many events there are.
    let eventCount: Int
    /// About how many bytes of memory they take.
    let byteCount: Int

    init(parts: [Part]) {
        self.parts = parts
        eventCount = parts.reduce(0) { $0 + $1.drafts.count }
        byteCount = parts.reduce(0) { sum, part in part.drafts.reduce(sum) { $0 + $1.approximateBytes } }
    }
}

extension EventDraft {
    /// About how much memory the draft takes: its texts and a fixed part for the rest.
    fileprivate var approximateBytes: Int {
        let reference = body.reference
        var bytes = 200 + (reference?.task.text.utf8.count ?? 0) + (reference?.execution?.text.utf8.count ?? 0)
        if case .progress(let progress) = body { bytes += progress.label?.text.utf8.count ?? 0 }
        return bytes
    }
}

/// What became of one append.
typealias AppendResult = Result<[(job: JobID, sequences: ClosedRange<Int64>)], StoreError>

/// The last event of a job, as its head row has it.
struct JobHead: Sendable {
    var sequence: Int64
    var recordedAt: Timestamp
    var chain: HashChain
}

/// The decisions of a flush, without its effects: from the heads that are locked and the appends that have come in
/// to the events, with their places, times and hashes, and the new heads.
struct FlushPlan {
    private(set) var columns = EventColumns()
    private(set) var results: [AppendResult] = []
    private var heads: [JobID: JobHead]
    private var changed: Set<JobID> = []
    private let clock: Timestamp

    /// - Parameters:
    ///   - heads: The heads of all jobs that exist among those appended to.
    ///   - clock: The database's clock, after the heads were locked.
    init(_ requests: [AppendRequest], heads: [JobID: JobHead], clock: Timestamp) {
        self.heads = heads
        self.clock = clock
        for request in requests { results.append(add(request)) }
    }

    private mutating func add(_ request: AppendRequest) -> AppendResult {
        let unknown = request.parts.map(\.job).filter { heads[$0] == nil }
        guard unknown.isEmpty else {
            return .failure(
                StoreError(
                    .unknownJob, "there is no job \(unknown.map(\.description).joined(separator: ", "))", jobs: unknown)
            )
        }
        return .success(request.parts.compactMap { part in add(part).map { (part.job, $0) } })
    }

    private mutating func add(_ part: AppendRequest.Part) -> ClosedRange<Int64>? {
        guard var head = heads[part.job], !part.drafts.isEmpty else { return nil }
        let first = head.sequence + 1
        // Never backwards within a job, whatever the clock does.
        head.recordedAt = max(head.recordedAt, clock)
        for draft in part.drafts {
            head.sequence += 1
            let event = draft.recorded(sequence: head.sequence, at: head.recordedAt)
            columns.append(event, of: part.job, hash: head.chain.append(event))
        }
        heads[part.job] = head
        changed.insert(part.job)
        return first...head.sequence
    }

    /// The jobs that get events, with their new heads, in the order of their ids.
    var newHeads: [(job: JobID, head: JobHead)] {
        changed.sorted().compactMap { job in heads[job].map { (job, $0) } }
    }

    /// What inserts the events and moves the heads; nothing where no append can be done.
    var statements: [Query] {
        guard columns.count > 0 else { return [] }
        let heads = newHeads
        let update = Query(
            """
            update ledger.job_head as head
            set sequence = new.sequence, recorded_at = new.recorded_at, hash = new.hash
            from unnest($1::uuid[], $2::bigint[], $3::timestamptz[], $4::bytea[])
                as new (job_id, sequence, recorded_at, hash)
            where head.job_id = new.job_id
            """,
            [
                .uuids(heads.map { $0.job.uuid }), .int8s(heads.map { $0.head.sequence }),
                .timestamptzs(microsecondsSince1970: heads.map { $0.head.recordedAt.microseconds }),
                .byteas(heads.map { $0.head.chain.head }),
            ])
        return [columns.insert, update]
    }
}

/// The effects of a flush.
struct Flusher: Sendable {
    let pool: Pool

    /// The heads, locked in the order of ids: two servers that lock the same ones do not wait for each other in a ring.
    private static func lockHeads(_ jobs: [JobID]) -> Query {
        Query(
            """
            select job_id, sequence, recorded_at, hash, clock_timestamp()
            from ledger.job_head
            where job_id = any ($1)
            order by job_id
            for update
            """, [.uuids(jobs.map(\.uuid))])
    }

    /// Writes the appends in one transaction, in two round trips. Each append succeeds or fails by itself; where the
    /// database fails, all do, and nothing was written unless the error's outcome is unknown.
    func flush(_ requests: [AppendRequest]) async throws(FlushFailure) -> FlushPlan {
        let jobs = Set(requests.flatMap { $0.parts.map(\.job) }).sorted()
        var attempted: FlushPlan?
        do {
            return try await pool.withTransaction { transaction in
                let (heads, clock) = try Self.decode(try await transaction.query(Self.lockHeads(jobs)))
                let plan = await Self.plan(requests, heads: heads, clock: clock)
                attempted = plan
                let rows = try await transaction.commit(after: plan.statements)
                guard rows.first?.affectedRows ?? 0 == plan.columns.count else {
                    throw PQError(
                        .decoding, "inserted \(rows.first?.affectedRows ?? 0) of \(plan.columns.count) events")
                }
                return plan
            }
        } catch let error as PQError {
            throw FlushFailure(error: error, plan: error.isOutcomeUnknown ? attempted : nil)
        } catch {
            throw FlushFailure(error: PQError(.misuse, "\(error)"), plan: nil)
        }
    }

    /// A few events are hashed on the spot; many would keep everybody's connections waiting, which live on this thread.
    private static func plan(
        _ requests: [AppendRequest], heads: [JobID: JobHead], clock: Timestamp
    ) async -> FlushPlan {
        guard requests.reduce(0, { $0 + $1.eventCount }) > plannedHereMax else {
            return FlushPlan(requests, heads: heads, clock: clock)
        }
        return await withTaskExecutorPreference(globalConcurrentExecutor) {
            FlushPlan(requests, heads: heads, clock: clock)
        }
    }

    private static let plannedHereMax = 256

    private static func decode(_ rows: Rows) throws(PQError) -> ([JobID: JobHead], Timestamp) {
        var heads: [JobID: JobHead] = [:]
        var clock = Timestamp.earliest
        for row in rows {
            heads[try row.jobID(0)] = JobHead(
                sequence: try row.decode(1), recordedAt: try row.timestamp(2),
                chain: HashChain(head: try row.decode(3, as: [UInt8].self)))
            clock = max(clock, try row.timestamp(4))
        }
        return (heads, clock)
    }

    /// Finds out whether a flush whose commit was cut off took place.
    ///
    /// The head's lock is only to be had when the cut-off transaction has ended; then the event at its last place
    /// either bears the hash that was to be written, which nothing else can have, or it does not.
    func tookPlace(_ plan: FlushPlan) async throws(PQError) -> Bool {
        guard let (job, head) = plan.newHeads.first else { return true }
        do {
            return try await pool.withTransaction { transaction in
                let rows = try await transaction.pipeline([
                    Self.lockHeads([job]),
                    Query(
                        "select hash from ledger.event where job_id = $1 and sequence = $2",
                        [.uuid(job.uuid), .int8(head.sequence)]),
                ])
                return try rows[1].first?.decode(0, as: [UInt8].self) == head.chain.head
            }
        } catch let error as PQError {
            throw error
        } catch {
            throw PQError(.misuse, "\(error)")
        }
    }
}

/// A flush that failed.
struct FlushFailure: Error {
    let error: PQError
    /// What may have been written all the same.
    let plan: FlushPlan?
}
