internal import Ledger
internal import LedgerChain
internal import PQ

/// Creates jobs.
struct JobCreator: Sendable {
    let pool: Pool
    /// The clock by which readings of the database's clock age.
    var now: @Sendable () -> ContinuousClock.Instant = { .now }

    private static let attemptsMax = 3

    /// The result of a request to create a job.
    enum Creation {
        case created(NewJob)
        case existed(JobID)
        /// A job with other content has the key.
        case keyTaken(JobID)
        /// The idempotency key was sent with other content.
        case idempotencyKeyReused
        /// The key belongs to a job in another slot.
        case reserved(JobID)
        /// The shard has another version of the map.
        case otherMap
        /// No job has the key, and none was to be created.
        case notFound
    }

    /// The place of a new job in a divided ledger.
    struct Placement {
        /// The slot, which becomes a part of the id.
        var slot: Int
        /// The key, or the idempotency key with its scope.
        ///
        /// There may be one job of this name. `nil` without either.
        var uniqueName: Name?
        /// The version of the map that the shard must have.
        ///
        /// `nil` if only an existing job is returned.
        var mapVersion: Int64?
    }

    /// A job that was just created, with its head.
    ///
    /// The head lets the appender write to the job without reading it first.
    struct NewJob {
        let id: JobID
        let head: JobHead
        /// The database's clock, read before `readAt`.
        let clock: Timestamp
        let readAt: ContinuousClock.Instant
    }

    func create(
        _ description: JobDescription, by reporter: Name?, _ idempotencyKey: IdempotencyKey?,
        at placement: Placement? = nil
    ) async throws(PQError) -> Creation {
        for _ in 1..<Self.attemptsMax {
            do throws(PQError) {
                return try await attempt(description, reporter, idempotencyKey, placement)
            } catch {
                if error.violates("job_key_unique") || error.violates("idempotency_key_pkey") {
                    // Another request created the job first. The next attempt finds it.
                    continue
                }
                guard error.isMissingPartition else { throw error }
                // The month has no partition: the clock jumped, or the partition was not created in time.
                _ = try await pool.query(Query("select ledger.make_event_partition(clock_timestamp())"))
            }
        }
        return try await attempt(description, reporter, idempotencyKey, placement)
    }

    private func attempt(
        _ description: JobDescription, _ reporter: Name?, _ idempotencyKey: IdempotencyKey?, _ placement: Placement?
    ) async throws(PQError) -> Creation {
        return try await pool.withTransaction { transaction throws(PQError) in
            let guards = placement.map { Self.guards(description.key, $0) } ?? []
            let results = try await transaction.pipeline(
                guards + [
                    Query("select clock_timestamp()"),
                    Query(
                        """
                        select job_id, name, \(TagColumns.columns(of: "tags"))
                        from ledger.job
                        where key = $1
                        """, [.text(description.key?.text)]),
                ] + (idempotencyKey.map { [$0.search] } ?? []))
            let readAt = now()
            if let placement, let refusal = try Self.refusal(Array(results.prefix(guards.count)), placement) {
                return refusal
            }
            let first = Array(results.dropFirst(guards.count))
            let digest = IdempotencyKey.digest(of: description)
            if let found = try Self.found(first, description, digest) {
                if case .existed(let job) = found {
                    // The job is visible, but that does not prove that it survives a failover. Taking the lock writes
                    // to the log after the job: if this transaction commits, the log up to here is durable.
                    _ = try await transaction.commit(after: [
                        Query("select from ledger.job_head where job_id = $1 for update", [.uuid(job.uuid)])
                    ])
                }
                return found
            }
            if let placement, placement.uniqueName != nil, placement.mapVersion == nil { return .notFound }
            let createdAt = try first[0][0].decode(0, as: Timestamp.self)
            let job = JobID(
                createdAt: createdAt, randomHigh: .random(in: 0 ... .max),
                randomLow: placement.map { ShardMap.randomLow(in: $0.slot) } ?? .random(in: 0 ... .max))
            let event = EventDraft(.jobCreated(description), reporter: reporter).recorded(sequence: 1, at: createdAt)
            var chain = HashChain(job: job)
            let inserts = Self.inserts(
                job, description, at: createdAt, by: reporter, hash: chain.append(event))
            _ = try await transaction.commit(after: inserts + (idempotencyKey?.inserts(job, digest) ?? []))
            let head = JobHead(sequence: 1, recordedAt: createdAt, chain: chain)
            return .created(NewJob(id: job, head: head, clock: createdAt, readAt: readAt))
        }
    }

    /// The statements that keep a key unique while the map changes.
    ///
    /// A change of the map takes the first lock alone, so it waits for creations in progress. The second lock orders
    /// creations and imports with the same key.
    private static func guards(_ key: Name?, _ placement: Placement) -> [Query] {
        guard let name = placement.uniqueName else { return [] }
        return [
            ShardStore.shareMap, ShardStore.state, ShardStore.lockKey(name),
            Query("select job_id from ledger.job_key where key = $1", [.text(key?.text)]),
        ]
    }

    /// The result that the guards require; nil if a job may be created.
    private static func refusal(_ results: [Rows], _ placement: Placement) throws(PQError) -> Creation? {
        guard !results.isEmpty else { return nil }
        if let version = placement.mapVersion, try !ShardStore.isCurrent(version, results[1]) { return .otherMap }
        return try results[3].first.map { row throws(PQError) in .reserved(try row.decode(0, as: JobID.self)) }
    }

    /// The result for a key of an existing job; nil if there is none.
    ///
    /// It may be the job's own key or an idempotency key.
    private static func found(
        _ results: [Rows], _ description: JobDescription, _ digest: [UInt8]
    ) throws(PQError) -> Creation? {
        if let row = results[1].first {
            var columns = row.columns
            let job = try columns.next(JobID.self)
            let name = try columns.next(Name.self)
            let tags = try TagColumns.decode(&columns)
            return name == description.name && tags == description.tags ? .existed(job) : .keyTaken(job)
        }
        guard results.count > 2, let row = results[2].first else { return nil }
        let isSame = try row.decode(1, as: [UInt8].self) == digest
        return isSame ? .existed(try row.decode(0, as: JobID.self)) : .idempotencyKeyReused
    }

    /// The statements that insert a job, its first event, its head and its snapshot.
    ///
    /// The snapshot includes the first event.
    static func inserts(
        _ job: JobID, _ description: JobDescription, at now: Timestamp, by reporter: Name?, hash: EventHash
    ) -> [Query] {
        let tags = description.sortedTags
        let names = Parameter.texts(tags.map { $0.name.text })
        let contents = Parameter.texts(tags.map { $0.value.text })
        let moment = Parameter.timestamp(now)
        let key = Parameter.text(description.key?.text)
        return [
            Query(
                """
                insert into ledger.job (job_id, created_at, name, key, tags)
                values ($1, $2, $3, $4, jsonb_object($5, $6))
                """, [.uuid(job.uuid), moment, .text(description.name.text), key, names, contents]),
            Query(
                """
                insert into ledger.event (job_id, sequence, recorded_at, type, hash, name, key, tags, reporter)
                values ($1, 1, $2, $3, $4, $5, $6, nullif(jsonb_object($7, $8), '{}'), $9)
                """,
                [
                    .uuid(job.uuid), moment, .int2(EventType.jobCreated.rawValue), .bytea(hash.bytea),
                    .text(description.name.text), key, names, contents, .text(reporter?.text),
                ]),
            Query(
                "insert into ledger.job_head (job_id, sequence, recorded_at, hash) values ($1, 1, $2, $3)",
                [.uuid(job.uuid), moment, .bytea(hash.bytea)]),
            Query(
                """
                insert into ledger.snapshot (job_id, sequence, created_at, updated_at, fold_version)
                values ($1, 1, $2, $2, \(Fold.version))
                """, [.uuid(job.uuid), moment]),
        ]
    }
}
