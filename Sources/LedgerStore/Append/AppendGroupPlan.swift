internal import Ledger
internal import LedgerChain
internal import PQ

/// The last event of a job, as stored in its head row.
struct JobHead: Sendable {
    var sequence: Int64
    var recordedAt: Timestamp
    var chain: HashChain
    /// Whether the job was retired, so that its head cannot move.
    var isRetired = false
    /// The sequence after which all events that cancel the job are known.
    var cancelsKnownAfter: Int64
    /// The last known event that cancels the job; nil for none.
    var lastCancel: Int64?

    init(sequence: Int64, recordedAt: Timestamp, chain: HashChain, isRetired: Bool = false) {
        self.sequence = sequence
        self.recordedAt = recordedAt
        self.chain = chain
        self.isRetired = isRetired
        cancelsKnownAfter = sequence
    }

    /// Whether an event after this one cancels the job; nil if unknown.
    func isCanceled(after sequence: Int64) -> Bool? {
        guard sequence >= cancelsKnownAfter else { return nil }
        return lastCancel.map { $0 > sequence } ?? false
    }

    var position: ChainPosition { ChainPosition(sequence: sequence, hash: chain.head) }
}

/// The events of a group with their sequences, times and hashes, and the new heads.
///
/// It is a pure function of the present heads and the appends.
struct AppendGroupPlan {
    private(set) var columns = EventColumns()
    private(set) var results: [AppendResult] = []
    /// The heads before the group.
    private let before: [JobID: JobHead]
    private var heads: [JobID: JobHead]
    private var changed: Set<JobID> = []
    private let clock: Timestamp
    private var workspace = HashChain.Workspace()

    /// - Parameters:
    ///   - heads: The heads of the jobs that exist.
    ///   - clock: The database's clock, read after the heads.
    init(_ requests: [AppendRequest], heads: [JobID: JobHead], clock: Timestamp) {
        before = heads
        self.heads = heads
        self.clock = clock
        for request in requests { results.append(add(request)) }
    }

    private mutating func add(_ request: AppendRequest) -> AppendResult {
        let unknown = request.parts.map(\.job).filter { heads[$0] == nil }
        guard unknown.isEmpty else { return .failure(.unknown(unknown)) }
        let retired = request.parts.map(\.job).filter { heads[$0]?.isRetired ?? false }
        guard retired.isEmpty else { return .failure(.retired(retired)) }
        for part in request.parts {
            guard let after = part.unlessCanceledAfter else { continue }
            guard let isCanceled = heads[part.job]?.isCanceled(after: after) else {
                return .failure(StoreError(.corrupt, "the cancellations of job \(part.job) were not read"))
            }
            if isCanceled { return .failure(.canceled(part.job)) }
        }
        return .success(request.parts.compactMap { part in add(part).map { (part.job, $0) } })
    }

    private mutating func add(_ part: AppendRequest.Part) -> ClosedRange<Int64>? {
        guard var head = heads[part.job], !part.drafts.isEmpty else { return nil }
        let first = head.sequence + 1
        // Times never decrease within a job, even if the clock does.
        head.recordedAt = max(head.recordedAt, clock)
        for draft in part.drafts {
            head.sequence += 1
            let event = draft.recorded(sequence: head.sequence, at: head.recordedAt)
            if case .jobFinished(.canceled) = event.body { head.lastCancel = event.sequence }
            head.chain.append(event, in: &workspace)
            columns.append(event, of: part.job, hash: head.chain.head)
        }
        heads[part.job] = head
        changed.insert(part.job)
        return first...head.sequence
    }

    /// The changed jobs with their new heads, in the order of their ids.
    var newHeads: [(job: JobID, head: JobHead)] {
        changed.sorted().compactMap { job in heads[job].map { (job, $0) } }
    }

    /// The statements for locked heads; none if no append succeeds.
    var statements: [Query] {
        guard columns.count > 0 else { return [] }
        return [columns.insert, Query(Self.moveHeadsSQL, headParameters)]
    }

    /// The conditional statement for few events.
    ///
    /// It writes nothing unless the heads are still those of the plan and its time is current. It returns the
    /// database's clock and the number of inserted events, or no row.
    var conditionalStatement: Query {
        let moved = newHeads
        guard moved.count == 1, let (job, head) = moved.first else {
            return Query(Self.conditionalManyJobs.text(for: columns), conditionalParameters + columns.parameters)
        }
        let heads: [Parameter] = [
            .uuid(job.uuid), .int8(head.sequence),
            .timestamp(head.recordedAt), .bytea(head.chain.head.bytea),
            .int8(before[job]?.sequence), .timestamp(clock),
            .bytea(before[job]?.chain.head.bytea),
        ]
        return columns.count == 1
            ? Query(Self.conditionalOneEvent.text(for: columns), heads + columns.singleRow)
            : Query(Self.conditionalOneJob.text(for: columns), heads + columns.parameters)
    }

    /// The conditional statements for many events, for one transaction.
    ///
    /// The first returns the clock; the number of rows that the second inserts is the number of events. A single
    /// statement would have to return every event to count them, which takes a tenth of the time of inserting.
    var conditionalStatements: [Query] {
        [
            Query(Self.conditionalMoveSQL, conditionalParameters),
            Query(Self.insertIfMoved.text(for: columns), columns.parameters),
        ]
    }

    private var conditionalParameters: [Parameter] {
        headParameters + [
            .int8s(newHeads.map { before[$0.job]?.sequence }),
            .timestamp(clock),
            .byteas(newHeads.map { before[$0.job]?.chain.head.bytea }),
        ]
    }

    /// The database time from which the conditional statements refuse to write.
    var expiry: Timestamp { Timestamp(microseconds: clock.microseconds + 1_000_000) }

    /// The jobs with heads that differ from these.
    func moved(since heads: [JobID: JobHead]) -> [JobID] {
        heads.filter { job, head in before[job]?.chain.head != head.chain.head }.map(\.key)
    }

    /// The jobs that may have lost events: their heads are behind these.
    ///
    /// A head with the same sequence and another hash counts as well.
    func lost(since heads: [JobID: JobHead]) -> [JobID] {
        heads.filter { job, head in
            before[job].map { $0.sequence <= head.sequence && $0.chain.head != head.chain.head } ?? true
        }.map(\.key)
    }

    private var headParameters: [Parameter] {
        let heads = newHeads
        return [
            .uuids(heads.map { $0.job.uuid }), .int8s(heads.map { $0.head.sequence }),
            .timestamps(heads.map { $0.head.recordedAt }),
            .byteas(heads.map { $0.head.chain.head.bytea }),
        ]
    }

    private static let moveHeadsSQL = """
        update ledger.job_head as head
        set sequence = new.sequence, recorded_at = new.recorded_at, hash = new.hash
        from unnest($1::uuid[], $2::bigint[], $3::timestamptz[], $4::bytea[])
            as new (job_id, sequence, recorded_at, hash)
        where head.job_id = new.job_id
        """

    /// The condition that the planned time, `$6`, is current.
    ///
    /// It is at most a second old by the database's clock; see ``expiry``.
    private static let isClockCurrent =
        "$6::timestamptz between clock_timestamp() - interval '1 second' and clock_timestamp()"

    /// Moves the head of one job, if it is current.
    ///
    /// The clock is compared again under the lock, because the statement may have waited for the lock. A late statement
    /// fails with LG004; see ``AppendGroupWriter/resolveOutcome(_:expiry:)``.
    private static let oneHeadClause = """
        moved as (
            update ledger.job_head
            set sequence = $2, recorded_at = $3, hash = $4
            where job_id = $1 and sequence = $5 and hash = $7 and \(isClockCurrent)
            returning case when \(isClockCurrent) then 1 else ledger.fail_stale() end
        )
        """

    private static let conditionalOneJob = EventColumns.Statement { shape in
        """
        with \(oneHeadClause), inserted as (
            insert into ledger.event (\(shape.names))
            \(shape.rows(from: 8)) where exists (select from moved)
            returning 1
        )
        select clock_timestamp(), count(*) from inserted having count(*) > 0
        """
    }

    /// Inserts one event.
    ///
    /// It needs no unnesting and no counting, which saves a third of the time, about 100 µs.
    private static let conditionalOneEvent = EventColumns.Statement { shape in
        """
        with \(oneHeadClause)
        insert into ledger.event (\(shape.names))
        \(shape.row(from: 8)) from moved
        returning clock_timestamp(), 1::bigint
        """
    }

    /// Moves several heads, if all are current.
    ///
    /// A head that another server has moved does not match once its lock is granted, and then nothing is written. The
    /// clock is compared under all locks, which are taken in the order of ids, as in all other statements.
    private static let manyHeadsClause = """
        with locked as materialized (
            select head.job_id
            from unnest($1::uuid[], $5::bigint[], $7::bytea[]) as expected (job_id, sequence, hash)
            join ledger.job_head as head
                on head.job_id = expected.job_id and head.sequence = expected.sequence and head.hash = expected.hash
            order by head.job_id
            for update of head
        ), verdict as materialized (
            select count(*) = cardinality($1)
                and \(isClockCurrent) as is_unchanged
            from locked
        ), moved as (
            \(moveHeadsSQL) and (select is_unchanged from verdict)
        )
        """

    private static let conditionalManyJobs = EventColumns.Statement { shape in
        """
        \(manyHeadsClause), inserted as (
            insert into ledger.event (\(shape.names))
            \(shape.rows(from: 8)) where (select is_unchanged from verdict)
            returning 1
        )
        select clock_timestamp(), count(*) from inserted having count(*) > 0
        """
    }

    /// Moves the heads, and passes the verdict to the next statement.
    ///
    /// The verdict is passed in a setting of the transaction.
    private static let conditionalMoveSQL = """
        \(manyHeadsClause)
        select clock_timestamp(), set_config('ledger.heads_moved', is_unchanged::text, true)
        from verdict
        """

    private static let insertIfMoved = EventColumns.Statement { shape in
        """
        insert into ledger.event (\(shape.names))
        \(shape.rows(from: 1)) where current_setting('ledger.heads_moved') = 'true'
        """
    }
}
