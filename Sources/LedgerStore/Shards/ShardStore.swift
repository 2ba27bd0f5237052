internal import Ledger
internal import PQ

/// Reads and changes the map of a shard.
struct ShardStore: Sendable {
    let pool: Pool

    /// The state of a shard, with all versions of the map that it knows.
    struct State: Hashable, Sendable {
        var number: Int
        /// The divided ledger.
        var ledger: JobID
        /// The present version of the map.
        var version: Int64
        /// Whether other shards may have an older version.
        var isChanging: Bool
        /// Whether a job was moved from this shard.
        var hasMovedJobs = false
        var versions: [ShardMap.Version]
    }

    // MARK: Statements of creations

    private static let mapLock = "hashtextextended('ledger.shard', 0)"

    /// Keeps the version of the map from changing until the transaction ends.
    static let shareMap = Query("select pg_advisory_xact_lock_shared(\(mapLock))")

    /// Reads the number, the ledger, the version, and whether the map is changing.
    static let state = Query("select number, ledger_id, version, is_changing from ledger.shard")

    /// Whether a result of ``state`` has this version, and no change has begun.
    static func isCurrent(_ version: Int64, _ state: Rows) throws(PQError) -> Bool {
        guard let row = state.first else { return false }
        let isChanging = try row.decode(3, as: Bool.self)
        return try row.decode(2, as: Int64.self) == version && !isChanging
    }

    /// Lets one transaction at a time decide about a key.
    static func lockKey(_ key: Name) -> Query {
        Query("select pg_advisory_xact_lock(hashtextextended('ledger.job_key ' || $1, 0))", [.text(key.text)])
    }

    // MARK: Reading

    private static let hasMovedJobs = Query("select exists (select from ledger.moved_job)")
    private static let versions = Query("select version, owners, since from ledger.shard_map order by version")

    /// Reads the state of the shard; nil if the database is not a shard.
    func state() async throws(PQError) -> State? {
        let results = try await pool.withTransaction(isolation: .repeatableRead, readOnly: true) {
            transaction throws(PQError) in
            try await transaction.commit(after: [Self.state, Self.versions, Self.hasMovedJobs])
        }
        guard let row = results[0].first else { return nil }
        var versions: [ShardMap.Version] = []
        for row in results[1] {
            let owners = try row.decode(1, as: [Int16].self)
            guard owners.count == ShardMap.slotCount else { throw PQError(.decoding, "a map has too few slots") }
            versions.append(
                ShardMap.Version(number: try row.decode(0), owners: owners.map(Int.init), since: try row.decode(2)))
        }
        guard !versions.isEmpty else { throw PQError(.decoding, "a shard has no map") }
        return State(
            number: Int(try row.decode(0, as: Int32.self)), ledger: try row.decode(1), version: try row.decode(2),
            isChanging: try row.decode(3), hasMovedJobs: try results[2][0].decode(0), versions: versions)
    }

    /// A shard's knowledge about the place of a job.
    struct Trace: Hashable {
        /// The version of the map that the shard knows; 0 without one.
        var mapVersion: Int64
        /// Whether the job is in this shard, retired or not.
        var isHere: Bool
        /// The shard to which the job was moved; nil if it was not.
        var movedTo: Int?
    }

    /// Reads the shard's knowledge about the place of a job. One round trip.
    func trace(of job: JobID) async throws(PQError) -> Trace {
        let row = try await pool.query(
            Query(
                """
                select
                    coalesce((select version from ledger.shard), 0),
                    exists (select from ledger.job where job_id = $1),
                    (select shard from ledger.moved_job where job_id = $1)
                """, [.uuid(job.uuid)]))[0]
        return Trace(
            mapVersion: try row.decode(0), isHere: try row.decode(1),
            movedTo: try row.decodeIfPresent(2, as: Int32.self).map(Int.init))
    }

    // MARK: Keys

    /// The job that has a key of a slot of this shard, or has reserved it.
    enum KeyHolder: Hashable {
        case job(JobID)
        /// The map has changed.
        case otherMap
    }

    /// Reserves a key for a job in another slot, unless it has a holder.
    ///
    /// - Parameter version: The version of the map that the shard must have.
    /// - Returns: The holder, which is the job itself if it was reserved.
    func reserve(_ key: Name, for job: JobID, version: Int64) async throws(PQError) -> KeyHolder {
        return try await pool.withTransaction { transaction throws(PQError) in
            let results = try await transaction.pipeline([
                Self.shareMap, Self.state, Self.lockKey(key), Self.holder(of: key),
            ])
            guard try Self.isCurrent(version, results[1]) else { return .otherMap }
            if let holder = results[3].first { return .job(try holder.decode(0)) }
            _ = try await transaction.commit(after: [
                Query("insert into ledger.job_key (key, job_id) values ($1, $2)", [.text(key.text), .uuid(job.uuid)])
            ])
            return .job(job)
        }
    }

    /// Reads the job that has a key, or has reserved it.
    func holder(of key: Name) async throws(PQError) -> JobID? {
        try await pool.query(Self.holder(of: key)).first?.decode(0, as: JobID.self)
    }

    private static func holder(of key: Name) -> Query {
        Query(
            """
            select job_id from ledger.job where key = $1
            union all
            select job_id from ledger.job_key where key = $1
            limit 1
            """, [.text(key.text)])
    }

    // MARK: Changing the map

    /// Records a version of the map, and that other shards may have an older one.
    ///
    /// Waits for creations with a key in progress. Repeating it changes nothing. Needs the role of the ledger's owner.
    ///
    /// - Parameter number: The number of the shard.
    func begin(_ map: ShardMap, number: Int, of ledger: JobID) async throws(PQError) {
        var statements = [
            Query("select pg_advisory_xact_lock(\(Self.mapLock))"),
            Query(
                """
                insert into ledger.shard as present (number, ledger_id, version, is_changing)
                values ($1, $2, $3, true)
                on conflict (only_row) do update set version = excluded.version, is_changing = true
                where present.version < excluded.version
                """, [.int4(Int32(number)), .uuid(ledger.uuid), .int8(map.current.number)]),
        ]
        for version in map.versions {
            statements.append(
                Query(
                    """
                    insert into ledger.shard_map (version, since, owners) values ($1, $2, $3)
                    on conflict (version) do nothing
                    """,
                    [.int8(version.number), .timestamp(version.since), .int2s(version.owners.map { Int16($0) })]))
        }
        _ = try await pool.commit(statements)
    }

    /// Records that all shards have a version of the map.
    func finish(_ version: Int64) async throws(PQError) {
        _ = try await pool.commit([
            Query("update ledger.shard set is_changing = false where version = $1 and is_changing", [.int8(version)])
        ])
    }
}
