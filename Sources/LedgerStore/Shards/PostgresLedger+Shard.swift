package import Ledger
internal import PQ

/// The operations of a database that is a shard of a divided ledger.
extension PostgresLedger {
    private var shardStore: ShardStore { ShardStore(pool: pool) }

    /// Reads the number and the map of this shard; nil if it is none.
    func shardState() async throws(StoreError) -> ShardStore.State? {
        try await attempting("reading the map of the shards") { () throws(PQError) in try await shardStore.state() }
    }

    /// The number of this shard; nil if the ledger is not divided.
    public func shardNumber() async throws(StoreError) -> Int? { try await shardState()?.number }

    /// Reads the shard's knowledge about the place of a job. One round trip.
    func trace(of job: JobID) async throws(StoreError) -> ShardStore.Trace {
        try await attempting("looking for a job") { () throws(PQError) in try await shardStore.trace(of: job) }
    }

    /// Whether the job is in this shard, retired or not.
    func contains(_ job: JobID) async throws(StoreError) -> Bool { try await trace(of: job).isHere }

    /// Returns the job that has a key, or has reserved it.
    func holder(of key: Name) async throws(StoreError) -> JobID? {
        try await attempting("looking for a key") { () throws(PQError) in try await shardStore.holder(of: key) }
    }

    /// Reserves a key for a job in another slot.
    func reserve(_ key: Name, for job: JobID, version: Int64) async throws(StoreError) -> ShardStore.KeyHolder {
        try await attempting("reserving a key") { () throws(PQError) in
            try await ShardStore(pool: appendPool).reserve(key, for: job, version: version)
        }
    }

    /// Runs the closure with the subscriptions and their secrets, as JSON.
    ///
    /// None of them is removed here meanwhile.
    func withSubscriptionRecords<R: Sendable>(
        _ body: (_ records: String) async throws(StoreError) -> R
    ) async throws(StoreError) -> R {
        try await attempting("reading subscriptions") { () throws(PQError) in
            try await pool.withTransaction { transaction throws(PQError) -> Result<R, StoreError> in
                let rows = try await transaction.query(
                    Query(
                        """
                        select coalesce(jsonb_agg(to_jsonb(kept)), '[]')::text
                        from (select * from ledger.subscription for key share) as kept
                        """))
                let records = try rows[0].decode(0, as: String.self)
                do throws(StoreError) { return .success(try await body(records)) } catch { return .failure(error) }
            }
        }.get()
    }

    /// Adds the subscriptions that are missing.
    func addSubscriptions(_ records: String) async throws(StoreError) {
        _ = try await attempting("copying subscriptions") { () throws(PQError) in
            try await pool.commit([
                Query(
                    """
                    insert into ledger.subscription
                    select * from jsonb_populate_recordset(null::ledger.subscription, $1::text::jsonb)
                    on conflict (subscription_id) do nothing
                    """, [.text(records)])
            ])
        }
    }

    /// Creates a subscription with an id and a secret of all shards.
    ///
    /// `nil` if there are too many.
    func createSubscription(
        _ request: SubscriptionRequest, _ id: Subscription.ID, _ secret: WebhookSecret, by creator: Name?
    ) async throws(StoreError) -> Subscription? {
        try await attempting("creating a subscription") { () throws(PQError) in
            try await subscriptionStore.create(request, id, secret, by: creator)
        }
    }
}

/// The divided ledger, for reports about a part of a replay.
package struct ReplayParent: Sendable {
    /// The number of the shard, which distinguishes its batches.
    package let number: Int
    /// Appends to the job that shows the progress.
    package let append: @Sendable ([EventDraft], JobID) async throws(StoreError) -> Void
    /// The outcome of a replay if no shard works on it any more; nil if one does.
    package let outcome: @Sendable (JobID) async throws(StoreError) -> JobOutcome?
}
