internal import Ledger
internal import PQ

/// Creates, lists and revokes tokens in the database.
struct TokenStore: Sendable {
    let pool: Pool

    private static let columns = """
        token_id, name, digest, scopes, \(TagColumns.columns(of: "tags")), job_id, created_at, created_by, expires_at,
        revoked_at, last_used_at
        """

    /// The condition for a token that is accepted.
    private static let isActive = "revoked_at is null and coalesce(expires_at > now(), true)"

    /// The newest tokens, accepted or not, in the order of creation.
    func newest() async throws(PQError) -> [AccessToken] {
        try await read(
            """
            select * from (
                select \(Self.columns) from ledger.access_token order by created_at desc, token_id desc limit $1
            ) as newest order by created_at, token_id
            """, [.int8(Int64(Limits.tokensMax))]
        ).map(\.token)
    }

    /// The active tokens with their digests.
    ///
    /// Includes those expired or revoked within a day, so that a response can give the reason.
    func activeOrRecentlyEnded() async throws(PQError) -> [(token: AccessToken, digest: [UInt8])] {
        try await read(
            """
            select \(Self.columns) from ledger.access_token
            where \(Self.isActive) or revoked_at > now() - interval '1 day'
                or revoked_at is null and expires_at > now() - interval '1 day'
            """, [])
    }

    private func read(
        _ sql: String, _ parameters: [Parameter]
    ) async throws(PQError) -> [(token: AccessToken, digest: [UInt8])] {
        var tokens: [(token: AccessToken, digest: [UInt8])] = []
        for row in try await pool.query(Query(sql, parameters)) { tokens.append(try Self.decode(row)) }
        return tokens
    }

    /// The current version, which changes whenever a token is created or revoked.
    func version() async throws(PQError) -> TokenRegistry.Version {
        let rows = try await pool.query(Query("select count(*), count(revoked_at) from ledger.access_token"))
        return TokenRegistry.Version(tokens: try rows[0].decode(0), revoked: try rows[0].decode(1))
    }

    /// Stores a token; nil if the maximum number is active.
    ///
    /// - Throws: An error with the constraint `access_token_name_unique` if a token has or had this name.
    func create(
        _ request: AccessTokenRequest, _ text: TokenText, by creator: Name?
    ) async throws(PQError) -> AccessToken? {
        let rows = try await pool.commit([
            // The limit holds for concurrent requests too.
            Query("select pg_advisory_xact_lock(hashtext('ledger.access_token'))"),
            Query(
                """
                insert into ledger.access_token (
                    token_id, name, digest, scopes, tags, job_id, created_by, expires_at
                )
                select $1, $2, $3, $4, jsonb_object($5, $6), $7, $8, $9
                where (select count(*) from ledger.access_token where \(Self.isActive)) < $10
                returning \(Self.columns)
                """,
                [
                    .text(text.id.text), .text(request.name.text), .bytea(text.digest),
                    .texts(request.scopes.map(\.rawValue).sorted()),
                ] + TagColumns.parameters(request.confinement.tags) + [
                    .uuid(request.confinement.job?.uuid), .text(creator?.text), .timestamp(request.expiresAt),
                    .int8(Int64(Limits.tokensMax)),
                ]),
        ])
        return try rows[1].first.map { (row) throws(PQError) in try Self.decode(row).token }
    }

    /// Revokes a token, and returns it.
    ///
    /// Nil if there is no such token within the confinement. A revoked token keeps the time of its first revocation.
    func revoke(_ id: AccessToken.ID, within confinement: Confinement) async throws(PQError) -> AccessToken? {
        let rows = try await pool.commit([
            Query(
                """
                update ledger.access_token set revoked_at = coalesce(revoked_at, now())
                where token_id = $1 and tags @> jsonb_object($2, $3) and ($4::uuid is null or job_id = $4)
                returning \(Self.columns)
                """,
                [.text(id.text)] + TagColumns.parameters(confinement.tags) + [.uuid(confinement.job?.uuid)])
        ])
        return try rows[0].first.map { (row) throws(PQError) in try Self.decode(row).token }
    }

    /// Records when tokens were last used.
    ///
    /// The commit does not wait for the disk: nothing depends on these times.
    func recordUses(_ uses: [(token: AccessToken.ID, at: Timestamp)]) async throws(PQError) {
        let uses = uses.sorted { $0.token.text < $1.token.text }
        _ = try await pool.commit(
            [
                Query("set local synchronous_commit = off", prepare: false),
                Query(
                    """
                    update ledger.access_token as token set last_used_at = used.at
                    from unnest($1::text[], $2::timestamptz[]) as used (token_id, at)
                    where token.token_id = used.token_id and coalesce(token.last_used_at, '-infinity') < used.at
                    """, [.texts(uses.map(\.token.text)), .timestamps(uses.map(\.at))]),
            ], deadline: .seconds(5))
    }

    private static func decode(_ row: Row) throws(PQError) -> (token: AccessToken, digest: [UInt8]) {
        var columns = row.columns
        guard let id = AccessToken.ID(try columns.next()) else {
            throw PQError(.decoding, "a token has an invalid id")
        }
        let name = try columns.next(Name.self)
        let digest = try columns.next([UInt8].self)
        let scopes = try columns.next([Name].self).compactMap { Scope(rawValue: $0.text) }
        let tags = try TagColumns.decode(&columns)
        let job = try columns.nextIfPresent(JobID.self)
        let token = AccessToken(
            id: id, name: name, scopes: Set(scopes), confinement: Confinement(tags: tags, job: job),
            createdAt: try columns.next(), createdBy: try columns.nextIfPresent(),
            expiresAt: try columns.nextIfPresent(), revokedAt: try columns.nextIfPresent(),
            lastUsedAt: try columns.nextIfPresent())
        return (token, digest)
    }
}
