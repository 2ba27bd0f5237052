internal import Crypto
package import Ledger
package import PQ

/// Stores deliveries, leases them to senders, and records the results.
package struct DeliveryStore: Sendable {
    let pool: Pool

    /// The maximum number of deliveries inserted by one statement.
    private static let insertedMax = 10_000

    // MARK: Enqueuing

    /// Returns the id of a delivery: a digest of its subscription and its cause.
    ///
    /// A step that is repeated after a crash of PostgreSQL therefore gives the same id.
    static func id(of subscription: Subscription.ID, _ cause: NotificationCause) -> String {
        let origin =
            switch cause.origin {
            case .event(let sequence): "event \(sequence)"
            case .moment(let moment): "moment \(moment.microseconds)"
            }
        let text = "\(subscription) \(cause.job?.description ?? "test") \(cause.kind.text) \(origin)"
        let digits = Array("0123456789abcdef")
        let digest = SHA256.hash(data: Array(text.utf8)).prefix(16)
        return "msg_" + String(digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
    }

    /// Returns the statements that enqueue notifications.
    ///
    /// They skip those that exist already, those of subscriptions that were removed or disabled, and those of events
    /// that are older than the subscription, that were imported or folded before (`ledger.notification_floor`), or that
    /// report on a replay.
    package static func insertions(
        of notifications: [(subscription: Subscription.ID, cause: NotificationCause)]
    ) -> [Query] {
        stride(from: 0, to: notifications.count, by: insertedMax).map { start in
            insertion(of: notifications[start..<min(notifications.count, start + insertedMax)])
        }
    }

    private static func insertion(
        of notifications: ArraySlice<(subscription: Subscription.ID, cause: NotificationCause)>
    ) -> Query {
        let causes = notifications.map(\.cause)
        let sequences = causes.map {
            if case .event(let sequence) = $0.origin { sequence } else { nil as EventSequence? }
        }
        let moments = causes.map { if case .moment(let moment) = $0.origin { moment } else { nil as Timestamp? } }
        // The lock of a subscription keeps it as it is until the commit. One that is being removed is skipped, so that
        // the foreign key cannot fail; one that is being disabled, so that no delivery waits for ever.
        return Query(
            """
            insert into ledger.delivery (delivery_id, subscription_id, job_id, kind, sequence, since, caused_at)
            select new.*
            from unnest(
                $1::text[], $2::text[], $3::uuid[], $4::text[], $5::bigint[], $6::timestamptz[], $7::timestamptz[]
            ) as new (delivery_id, subscription_id, job_id, kind, sequence, since, caused_at)
            join ledger.subscription on subscription.subscription_id = new.subscription_id
            where subscription.disabled_at is null and subscription.created_at <= new.caused_at
                and not exists (
                    select from ledger.notification_floor as floor
                    where floor.job_id = new.job_id and floor.sequence >= new.sequence
                )
                and not exists (select from ledger.replay where replay.job_id = new.job_id)
            for share of subscription
            on conflict (delivery_id) do nothing
            """,
            [
                .texts(notifications.map { id(of: $0.subscription, $0.cause) }),
                .texts(notifications.map(\.subscription.text)), .uuids(causes.map { $0.job?.uuid }),
                .texts(causes.map(\.kind.text)), .sequences(sequences), .timestamps(moments),
                .timestamps(causes.map(\.at)),
            ])
    }

    /// Returns the statement that keeps events from causing notifications.
    ///
    /// - Parameter jobs: The SQL of a query that gives jobs and sequences.
    static func raiseFloor(_ jobs: String, _ parameters: [Parameter]) -> Query {
        Query(
            """
            insert into ledger.notification_floor as floor (job_id, sequence)
            \(jobs)
            on conflict (job_id) do update set sequence = greatest(floor.sequence, excluded.sequence)
            """, parameters)
    }

    // MARK: Sending

    /// A delivery that this process may send until its lease ends.
    package struct Claimed: Sendable {
        package let delivery: Delivery
        package let subscription: Subscription
        package let secret: WebhookSecret
    }

    /// Claims deliveries that are due, at most one attempt of each at a time.
    ///
    /// Subscriptions take turns at random, so that a slow receiver delays no other one. A delivery is claimed in a
    /// durable transaction: whatever was sent is known after a crash of PostgreSQL.
    ///
    /// - Parameters:
    ///   - perSubscription: The maximum number in progress to one subscription.
    ///   - inProgress: The numbers that are in progress already.
    ///   - lease: The time after which another process may send them.
    package func claim(
        limit: Int, perSubscription: Int, inProgress: [Subscription.ID: Int], lease: Duration
    ) async throws(PQError) -> [Claimed] {
        let busy = Array(inProgress)
        let rows = try await pool.commit([
            Query(
                """
                with due as (
                    select delivery.delivery_id
                    from (
                        select subscription.subscription_id, greatest($4 - coalesce(busy.number, 0), 0) as room
                        from ledger.subscription
                        left join unnest($2::text[], $3::bigint[]) as busy (subscription_id, number)
                            on busy.subscription_id = subscription.subscription_id
                        where subscription.disabled_at is null
                        order by random()
                    ) as active
                    cross join lateral (
                        select delivery_id from ledger.delivery as found
                        where found.subscription_id = active.subscription_id and found.state = 'pending'
                            and found.next_at <= now()
                        order by found.next_at
                        limit active.room
                        for update skip locked
                    ) as delivery
                    limit $1
                )
                update ledger.delivery as claimed
                set
                    attempts = claimed.attempts + 1, attempted_at = statement_timestamp(),
                    next_at = statement_timestamp() + make_interval(secs => $5)
                from due
                join ledger.delivery as found on found.delivery_id = due.delivery_id
                join ledger.subscription as subscriber on subscriber.subscription_id = found.subscription_id
                where claimed.delivery_id = due.delivery_id
                returning \(Self.columns(of: "claimed")), subscriber.secret,
                    \(SubscriptionStore.columns(of: "subscriber"))
                """,
                [
                    .int8(Int64(limit)), .texts(busy.map(\.key.text)), .int8s(busy.map { Int64($0.value) }),
                    .int8(Int64(perSubscription)), .float8(lease / .seconds(1)),
                ])
        ])
        var claimed: [Claimed] = []
        for row in rows[0] {
            var columns = row.columns
            let delivery = try Self.decode(&columns)
            guard let secret = WebhookSecret(try columns.next()) else {
                throw PQError(.decoding, "a subscription has an invalid secret")
            }
            claimed.append(
                Claimed(
                    delivery: delivery, subscription: try SubscriptionStore.decode(&columns), secret: secret))
        }
        return claimed
    }

    /// The result of an attempt.
    package struct Result: Hashable, Sendable {
        package var state: Delivery.State
        /// The pause before the next attempt, while the state is `pending`.
        package var pause: Duration
        package var responseStatus: Int?
        package var error: String?
        /// Whether the receiver wants no more deliveries.
        package var isGone = false

        package init(
            state: Delivery.State, pause: Duration = .zero, responseStatus: Int? = nil, error: String? = nil,
            isGone: Bool = false
        ) {
            self.state = state
            self.pause = pause
            self.responseStatus = responseStatus
            self.error = error
            self.isGone = isGone
        }
    }

    /// Records the result of an attempt, unless a later attempt has begun.
    ///
    /// If a crash of PostgreSQL undoes it, the delivery is sent again with the same id.
    package func record(_ result: Result, of claimed: Claimed) async throws(PQError) {
        let delivery = claimed.delivery
        let ended = Query(
            """
            update ledger.delivery
            set
                state = $3, response_status = $4, error = $5,
                ended_at = case when $3 <> 'pending' then statement_timestamp() end,
                next_at = statement_timestamp() + make_interval(secs => $6)
            where delivery_id = $1 and attempts = $2 and state = 'pending'
            """,
            [
                .text(delivery.id), .int4(Int32(delivery.attempts)), .text(result.state.rawValue),
                .int2(result.responseStatus.map { Int16(clamping: $0) }), .text(result.error),
                .float8(result.pause / .seconds(1)),
            ])
        _ = try await pool.commit(
            [Query("set local synchronous_commit = off", prepare: false), ended]
                + (result.isGone ? SubscriptionStore.disabling(claimed.subscription.id, .gone) : []))
    }

    // MARK: Cleaning

    /// The time for which ended deliveries are kept.
    package static let keptFor: Duration = .seconds(7 * 86_400)
    /// The maximum number of deliveries changed by a statement, and of statements.
    ///
    /// A statement is short, so it holds few locks. The rest waits for the next cleaning.
    private static let cleanedMax = (deliveries: 5_000, statements: 20)

    /// Repeats a statement while it changes the maximum number of deliveries.
    ///
    /// - Parameter sql: A statement whose first parameter is that maximum.
    private func repeating(_ sql: String, _ parameters: [Parameter] = []) async throws(PQError) {
        let query = Query(sql, [.int8(Int64(Self.cleanedMax.deliveries))] + parameters)
        for _ in 0..<Self.cleanedMax.statements {
            guard try await pool.query(query).affectedRows >= Self.cleanedMax.deliveries else { return }
        }
    }

    /// Deletes old deliveries, and disables subscriptions with too many waiting.
    ///
    /// The delivery of a moment stays while the job is running: it keeps the same moment from causing another one.
    /// Deliveries that wait for a disabled subscription are ended.
    ///
    /// - Returns: The disabled subscriptions.
    package func clean() async throws(PQError) -> [Subscription.ID] {
        try await repeating(
            """
            delete from ledger.delivery
            where delivery_id in (
                select delivery_id from ledger.delivery as ended
                where ended.state <> 'pending' and ended.ended_at < now() - make_interval(secs => $2)
                    and (ended.since is null or not exists (
                        select from ledger.snapshot
                        where snapshot.job_id = ended.job_id and snapshot.is_live and snapshot.state = 'running'
                    ))
                order by ended.ended_at
                limit $1
            )
            """, [.float8(Self.keptFor / .seconds(1))])
        try await repeating(
            """
            update ledger.delivery
            set state = 'failed', ended_at = statement_timestamp(), error = 'the subscription was disabled'
            where delivery_id in (
                select waiting.delivery_id
                from ledger.subscription
                cross join lateral (
                    select delivery_id from ledger.delivery as found
                    where found.subscription_id = subscription.subscription_id and found.state = 'pending'
                    order by found.next_at
                    limit $1
                    for update skip locked
                ) as waiting
                where subscription.disabled_at is not null
                limit $1
            )
            """)
        // A job that ended while it was stalled does not advance again.
        _ = try await pool.query(
            Query(
                """
                delete from ledger.noticed_stall
                where not exists (
                    select from ledger.snapshot
                    where snapshot.job_id = noticed_stall.job_id and snapshot.is_live and snapshot.state = 'running'
                )
                """))
        let rows = try await pool.query(
            Query(
                """
                select subscription.subscription_id
                from ledger.subscription
                cross join lateral (
                    select count(*) as number
                    from (
                        select from ledger.delivery
                        where delivery.subscription_id = subscription.subscription_id and delivery.state = 'pending'
                        limit $1 + 1
                    ) as waiting
                ) as pending
                where subscription.disabled_at is null and pending.number > $1
                """, [.int8(Int64(Limits.pendingDeliveriesMax))]))
        var overflowing: [Subscription.ID] = []
        for row in rows {
            var columns = row.columns
            overflowing.append(try SubscriptionStore.decodeID(&columns))
        }
        for id in overflowing { _ = try await pool.commit(SubscriptionStore.disabling(id, .overflow)) }
        return overflowing
    }

    // MARK: Reading

    private static func columns(of delivery: String) -> String {
        [
            "delivery_id", "subscription_id", "job_id", "kind", "sequence", "since", "caused_at", "created_at", "state",
            "attempts", "next_at", "attempted_at", "ended_at", "response_status", "error",
        ].map { "\(delivery).\($0)" }.joined(separator: ", ")
    }

    private static func decode(_ columns: inout RowColumns) throws(PQError) -> Delivery {
        let id = try columns.next(String.self)
        let subscription = try SubscriptionStore.decodeID(&columns)
        let job = try columns.nextIfPresent(JobID.self)
        guard let kind = NotificationKind(try columns.next()) else {
            throw PQError(.decoding, "a delivery has an unknown kind: run the version that migrated the database")
        }
        let sequence = try columns.nextIfPresent(EventSequence.self)
        let since = try columns.nextIfPresent(Timestamp.self)
        let causedAt = try columns.next(Timestamp.self)
        let createdAt = try columns.next(Timestamp.self)
        guard let state = Delivery.State(rawValue: try columns.next()) else {
            throw PQError(.decoding, "a delivery has an unknown state")
        }
        let attempts = try columns.next(Int32.self)
        let nextAt = try columns.next(Timestamp.self)
        let attemptedAt = try columns.nextIfPresent(Timestamp.self)
        let endedAt = try columns.nextIfPresent(Timestamp.self)
        let status = try columns.nextIfPresent(Int16.self)
        return Delivery(
            id: id, subscription: subscription,
            cause: NotificationCause(
                job: job, kind: kind, origin: sequence.map { .event($0) } ?? .moment(since ?? causedAt), at: causedAt),
            createdAt: createdAt, state: state, attempts: Int(attempts), nextAt: state == .pending ? nextAt : nil,
            attemptedAt: attemptedAt, endedAt: endedAt, responseStatus: status.map(Int.init),
            error: try columns.nextIfPresent(String.self))
    }

    private static func decode(_ rows: Rows) throws(PQError) -> [Delivery] {
        var deliveries: [Delivery] = []
        for row in rows {
            var columns = row.columns
            deliveries.append(try decode(&columns))
        }
        return deliveries
    }

    /// Reads deliveries, newest first.
    func deliveries(
        of subscription: Subscription.ID?, within confinement: Confinement, limit: Int, before cursor: Delivery.Cursor?
    ) async throws(PQError) -> [Delivery] {
        guard confinement.job == nil else { return [] }
        let page: [Parameter] = [.timestamp(cursor?.createdAt), .text(cursor?.id), .int8(Int64(limit))]
        let query =
            if subscription == nil && confinement.tags.isEmpty {
                Query(
                    """
                    select \(Self.columns(of: "found"))
                    from ledger.delivery as found
                    where \(Self.follows)
                    order by found.created_at desc, found.delivery_id
                    limit $3
                    """, page)
            } else {
                Query(
                    """
                    select \(Self.columns(of: "delivery"))
                    from ledger.subscription
                    cross join lateral (
                        select * from ledger.delivery as found
                        where found.subscription_id = subscription.subscription_id and \(Self.follows)
                        order by found.created_at desc, found.delivery_id
                        limit $3
                    ) as delivery
                    where ($4::text is null or subscription.subscription_id = $4)
                        and subscription.tags @> jsonb_object($5, $6)
                    order by delivery.created_at desc, delivery.delivery_id
                    limit $3
                    """, page + [.text(subscription?.text)] + TagColumns.parameters(confinement.tags))
            }
        return try Self.decode(try await pool.lookUp([query])[0])
    }

    /// The condition that a delivery follows the cursor `$1`, `$2`, if there is one.
    ///
    /// An index begins at the first bound, instead of reading everything before it.
    private static let follows = """
        found.created_at <= coalesce($1::timestamptz, 'infinity')
            and (found.created_at < coalesce($1::timestamptz, 'infinity') or found.delivery_id > $2::text)
        """

    /// Enqueues a test, and returns its id.
    ///
    /// Nil if the subscription does not exist or is disabled.
    func enqueueTest(of subscription: Subscription.ID) async throws(PQError) -> String? {
        let now = try await pool.query(Query("select clock_timestamp()"))[0].decode(0, as: Timestamp.self)
        let cause = NotificationCause(job: nil, kind: .test, origin: .moment(now), at: now)
        let inserted = try await pool.commit(Self.insertions(of: [(subscription, cause)]))
        return inserted[0].affectedRows == 1 ? Self.id(of: subscription, cause) : nil
    }

    func delivery(_ id: String) async throws(PQError) -> Delivery? {
        let rows = try await pool.query(
            Query("select \(Self.columns(of: "delivery")) from ledger.delivery where delivery_id = $1", [.text(id)]))
        return try Self.decode(rows).first
    }

    /// The statement that counts subscriptions and waiting deliveries for operators.
    static let counts = Query(
        """
        select
            (select count(*) from ledger.subscription),
            (select count(*) from ledger.subscription where disabled_at is not null),
            count(*), coalesce(extract(epoch from clock_timestamp() - min(created_at)), 0)::float8
        from ledger.delivery
        where state = 'pending'
        """)

    static func decodeCounts(_ rows: Rows) throws(PQError) -> NotificationCounts {
        guard let row = rows.first else { throw PQError(.decoding, "the deliveries were not counted") }
        return NotificationCounts(
            subscriptions: try row.decode(0), disabled: try row.decode(1), pending: try row.decode(2),
            oldestSeconds: try row.decode(3))
    }
}
