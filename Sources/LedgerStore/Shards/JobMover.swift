internal import Ledger
internal import LedgerChain
internal import PQ

/// Moves a job from one shard to another.
///
/// A transaction of the target copies the events, verifies their chain, copies the projection, and is prepared. A
/// transaction of the source then deletes the job, records where it went and, with its commit, decides: before it the
/// job is in the source, after it in the target. If the mover dies between the two, ``ShardedLedger`` settles the
/// prepared transaction like a part of an append to several shards. The job is in exactly one shard at any time.
///
/// Most events are copied before the job is locked. Appends to it then wait for the rest, the copy of the projection
/// and the deletion.
struct JobMover: Sendable {
    /// The number of events that are copied at a time.
    private static let pageSize = 5_000
    /// The time to wait until the locked job is folded.
    private static let foldMax: Duration = .seconds(5)
    private static let foldInterval: Duration = .milliseconds(20)
    /// The time limit of one operation on a job with very many events.
    static let deadline: Duration = .seconds(600)

    let job: JobID
    let source: (number: Int, pool: Pool)
    /// The target, with the role of the service.
    ///
    /// Its servers may have to end the prepared transaction.
    let target: (number: Int, pool: Pool)
    /// Is called after each step. Tests stop there.
    var afterStep: @Sendable (Step) async throws -> Void = { _ in }

    /// A step of a move, after which it may be interrupted.
    enum Step: CaseIterable {
        /// Most events are copied.
        case copied
        /// The job is locked, and everything is copied and deleted, without a commit.
        case deleted
        /// The transaction of the target is prepared.
        case prepared
        /// The transaction of the source is committed.
        case decided
        /// The transaction of the target is committed.
        case ended
    }

    /// Moves the job.
    ///
    /// - Returns: The last event that was moved.
    /// - Throws: ``StoreError`` or ``PQError``, or that of ``Importer/Refusal``. The job is then in the source, unless
    ///   the outcome is unknown.
    func move() async throws -> ChainPosition {
        try await makePartition()
        let (append, position) = try await copy()
        try await afterStep(.decided)
        try await PreparedTransactions(pool: target.pool).end(append.name(in: target.number), commits: true)
        try await afterStep(.ended)
        return position
    }

    private func makePartition() async throws(PQError) {
        _ = try await target.pool.query(
            Query(
                "select ledger.make_event_partition(to_timestamp($1::float8 / 1000))",
                [.float8(Double(job.high >> 16))]))
    }

    /// Copies the job and decides that it is in the target.
    private func copy() async throws -> (PreparedAppend, ChainPosition) {
        try await target.pool.withTransaction(deadline: Self.deadline) { copy in
            var head = try await copyEvents(after: nil, &copy)
            try await afterStep(.copied)
            return try await source.pool.withTransaction(deadline: Self.deadline) { original in
                _ = try await original.query(
                    Query("select from ledger.job_head where job_id = $1 for update", [.uuid(job.uuid)]))
                head = try await copyEvents(after: head, &copy)
                guard let position = head?.position else {
                    throw StoreError(.unknownJob, "there is no job \(job)", jobs: [job])
                }
                try await waitForFold(position.sequence, &original)
                // A replay must not make another projection live between the copies of two tables.
                _ = try await original.query(
                    Query(
                        "select from ledger.snapshot where job_id = $1 order by projection for update",
                        [.uuid(job.uuid)]))
                _ = try await copy.query(
                    Query("delete from ledger.snapshot where job_id = $1", [.uuid(job.uuid)]))
                for table in Self.tables { try await copyRows(table, &original, &copy) }
                _ = try await original.query(
                    Query(
                        "select ledger.move_job($1, $2, $3, $4)",
                        [
                            .uuid(job.uuid), .sequence(position.sequence), .bytea(position.hash.bytea),
                            .int4(Int32(target.number)),
                        ]))
                try await afterStep(.deleted)
                let append = PreparedAppend(
                    id: JobID(createdAt: .now, randomHigh: .random(in: 0 ... .max), randomLow: .random(in: 0 ... .max)),
                    decider: source.number)
                _ = try await copy.prepare(as: append.name(in: target.number))
                try await afterStep(.prepared)
                _ = try await original.commit(after: [PreparedAppendStatements.commit(append)])
                return (append, position)
            }
        }
    }

    /// Copies the events after a head, and verifies that they continue its chain.
    ///
    /// - Returns: The head after them.
    private func copyEvents(after head: JobHead?, _ copy: inout Transaction) async throws -> JobHead? {
        var head = head
        while true {
            let excerpt = try await ChainReader(pool: source.pool).excerpt(
                job, after: head?.sequence ?? 0, limit: Self.pageSize)
            guard let excerpt, !excerpt.events.isEmpty else { return head }
            let after = head
            let next = try await ComputeThreads.run { () throws(Importer.Refusal) in
                try Importer.check(excerpt.events, excerpt, after: after)
            }
            _ = try await copy.pipeline(try Importer.statements(excerpt.events, job, next))
            head = next
            if next.sequence >= excerpt.head.sequence { return head }
        }
    }

    /// Waits until a worker has folded all events of the locked job.
    ///
    /// So the copied projection is complete, and all causes of notifications have been noticed.
    private func waitForFold(_ sequence: EventSequence, _ original: inout Transaction) async throws {
        let limit = ContinuousClock.now + Self.foldMax
        while true {
            let rows = try await original.query(
                Query("select sequence from ledger.snapshot where job_id = $1 and is_live", [.uuid(job.uuid)]))
            if try rows.first?.decode(0, as: EventSequence.self) == sequence { return }
            guard ContinuousClock.now < limit else {
                throw StoreError(
                    .conflict, "job \(job) has events that are not folded yet: check that a worker is running",
                    jobs: [job])
            }
            try await Task.sleep(for: Self.foldInterval)
        }
    }

    // MARK: Projection

    /// A table with rows of jobs that are copied.
    struct Table {
        let name: String
        /// Whether it has rows of several projections.
        ///
        /// Only the live one is copied.
        var isOfProjection = true
    }

    /// The tables, in the order of their foreign keys.
    static let tables = [
        Table(name: "snapshot"), Table(name: "indicator"), Table(name: "task"), Table(name: "execution"),
        Table(name: "report_page"), Table(name: "discard"), Table(name: "run_summary", isOfProjection: false),
        Table(name: "noticed_stall", isOfProjection: false), Table(name: "delivery", isOfProjection: false),
    ]

    private func copyRows(_ table: Table, _ original: inout Transaction, _ copy: inout Transaction) async throws {
        let live =
            table.isOfProjection
            ? " and projection = (select projection from ledger.snapshot where job_id = '\(job)' and is_live)" : ""
        let read = "copy (select * from ledger.\(table.name) where job_id = '\(job)'\(live)) to stdout (format binary)"
        _ = try await copy.copyIn("copy ledger.\(table.name) from stdin (format binary)") { writer in
            var rows = BinaryCopyRows()
            try await original.copyOut(read) { chunk in
                let next = try rows.take(chunk)
                if !next.isEmpty { try await writer.rows(encoded: next) }
            }
        }
    }
}

/// Takes the rows out of the output of a binary COPY.
///
/// It begins with a header of 19 bytes or more and ends with a trailer of 2 bytes (manual, COPY, "Binary Format").
struct BinaryCopyRows {
    private static let headerSize = 19
    private static let trailerSize = 2
    private var isPastHeader = false
    private var rest: [UInt8] = []

    /// Adds bytes, and returns those that belong to rows, without the last two so far.
    mutating func take(_ chunk: [UInt8]) throws(PQError) -> [UInt8] {
        rest += chunk
        if !isPastHeader {
            guard rest.count >= Self.headerSize else { return [] }
            // The length of the extension, which no version of PostgreSQL uses.
            guard rest[15..<19].allSatisfy({ $0 == 0 }) else {
                throw PQError(.decoding, "the header of a COPY has an extension")
            }
            rest.removeFirst(Self.headerSize)
            isPastHeader = true
        }
        let count = max(0, rest.count - Self.trailerSize)
        let rows = Array(rest.prefix(count))
        rest.removeFirst(count)
        return rows
    }
}
