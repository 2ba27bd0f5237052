internal import Ledger
internal import PQ

/// Creates, reads and removes subscriptions in the database.
struct SubscriptionStore: Sendable {
    let pool: Pool

    /// The columns of a subscription in this table or alias.
    static func columns(of subscription: String) -> String {
        [
            "subscription_id", "name", "url", "kinds", "job_name", "tags", "format", "created_at", "created_by",
            "disabled_at", "disabled_reason",
        ].map { column in
            let column = (name: column, path: "\(subscription).\(column)")
            return column.name == "tags" ? TagColumns.columns(of: column.path) : column.path
        }.joined(separator: ", ")
    }

    /// The statement that reads all subscriptions, in the order of creation.
    static let all = Query(
        """
        select \(columns(of: "subscription")) from ledger.subscription order by created_at, subscription_id limit $1
        """,
        [.int8(Int64(Limits.subscriptionsMax))])

    func all() async throws(PQError) -> [Subscription] { try Self.decode(try await pool.query(Self.all)) }

    static func decode(_ rows: Rows) throws(PQError) -> [Subscription] {
        var subscriptions: [Subscription] = []
        for row in rows {
            var columns = row.columns
            subscriptions.append(try decode(&columns))
        }
        return subscriptions
    }

    /// Decodes the columns of ``columns(of:)``.
    static func decode(_ columns: inout RowColumns) throws(PQError) -> Subscription {
        let id = try decodeID(&columns)
        let name = try columns.next(Name.self)
        let url = try columns.next(String.self)
        // A kind of a newer version is not a kind for this one.
        let kinds = try columns.next([Name].self).compactMap { NotificationKind($0.text) }
        let jobName = try columns.nextIfPresent(Name.self)
        let tags = try TagColumns.decode(&columns)
        let format = Subscription.Format(rawValue: try columns.next()) ?? .standard
        let createdAt = try columns.next(Timestamp.self)
        let createdBy = try columns.nextIfPresent(Name.self)
        let disabledAt = try columns.nextIfPresent(Timestamp.self)
        let reason = try columns.nextIfPresent(String.self)
        do throws(WebhookAddress.Invalid) {
            return Subscription(
                id: id, name: name, receiver: try WebhookAddress(url), kinds: kinds, jobName: jobName, tags: tags,
                format: format, createdAt: createdAt, createdBy: createdBy,
                disabled: disabledAt.map { moment in
                    (moment, reason.flatMap { Subscription.DisabledReason(rawValue: $0) } ?? .gone)
                })
        } catch {
            throw PQError(.decoding, "a subscription has an invalid URL: it \(error.detail)")
        }
    }

    static func decodeID(_ columns: inout RowColumns) throws(PQError) -> Subscription.ID {
        guard let id = Subscription.ID(try columns.next()) else {
            throw PQError(.decoding, "a subscription has an invalid id")
        }
        return id
    }

    /// Stores a subscription; nil if the ledger has the maximum number.
    func create(
        _ request: SubscriptionRequest, _ id: Subscription.ID, _ secret: WebhookSecret, by creator: Name?
    ) async throws(PQError) -> Subscription? {
        let rows = try await pool.commit([
            // The limit holds for concurrent requests too.
            Query("select pg_advisory_xact_lock(hashtext('ledger.subscription'))"),
            Query(
                """
                insert into ledger.subscription (
                    subscription_id, name, url, secret, kinds, job_name, format, created_by, tags
                )
                select $1, $2, $3, $4, $5, $6, $7, $8, jsonb_object($9, $10)
                where (select count(*) from ledger.subscription) < $11
                returning \(Self.columns(of: "subscription"))
                """,
                [
                    .text(id.text), .text(request.name.text), .text(request.url), .text(secret.text),
                    .texts(request.kinds.map(\.text)), .text(request.jobName?.text), .text(request.format.rawValue),
                    .text(creator?.text),
                ] + TagColumns.parameters(request.tags) + [.int8(Int64(Limits.subscriptionsMax))]),
        ])
        return try Self.decode(rows[1]).first
    }

    /// Removes a subscription with its deliveries, and returns it.
    ///
    /// Nil if there is no such subscription within the confinement.
    func remove(_ id: Subscription.ID, within confinement: Confinement) async throws(PQError) -> Subscription? {
        guard confinement.job == nil else { return nil }
        let rows = try await pool.commit([
            Query(
                """
                delete from ledger.subscription
                where subscription_id = $1 and tags @> jsonb_object($2, $3)
                returning \(Self.columns(of: "subscription"))
                """, [.text(id.text)] + TagColumns.parameters(confinement.tags))
        ])
        return try Self.decode(rows[0]).first
    }

    /// Returns the statements that disable a subscription and end its deliveries.
    static func disabling(_ id: Subscription.ID, _ reason: Subscription.DisabledReason) -> [Query] {
        [
            Query(
                """
                update ledger.subscription set disabled_at = statement_timestamp(), disabled_reason = $2
                where subscription_id = $1 and disabled_at is null
                """, [.text(id.text), .text(reason.rawValue)]),
            Query(
                """
                update ledger.delivery
                set state = 'failed', ended_at = statement_timestamp(), error = 'the subscription was disabled'
                where subscription_id = $1 and state = 'pending'
                """, [.text(id.text)]),
        ]
    }
}
