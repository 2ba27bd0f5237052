public import Ledger
internal import Logging
internal import PQ

extension PostgresLedger {
    /// The time between two looks for changed tokens.
    private static let tokenRefreshInterval: Duration = .seconds(1)

    public func createToken(
        _ request: AccessTokenRequest, by creator: Name?
    ) async throws(StoreError) -> (token: AccessToken, text: String) {
        let text = TokenText.random()
        let created: AccessToken?
        do throws(PQError) {
            created = try await tokenStore.create(request, text, by: creator)
        } catch {
            guard error.server?.constraint == "access_token_name_unique" else {
                throw StoreError(error, while: "creating a token")
            }
            throw StoreError(
                .conflict, "a token has or had the name '\(request.name)', and names of tokens are never used again")
        }
        guard let token = created else {
            throw StoreError(.conflict, "the ledger has \(Limits.tokensMax) tokens, which is the maximum")
        }
        try await loadTokens()
        return (token, text.text)
    }

    public func listTokens(within confinement: Confinement) async throws(StoreError) -> [AccessToken] {
        let all = try await attempting("reading tokens") { () throws(PQError) in try await tokenStore.all() }
        return all.map(\.token).filter { $0.confinement.isWithin(confinement) }
    }

    public func revokeToken(
        _ id: AccessToken.ID, within confinement: Confinement
    ) async throws(StoreError) -> AccessToken? {
        let token = try await attempting("revoking a token") { () throws(PQError) in
            try await tokenStore.revoke(id, within: confinement)
        }
        try await loadTokens()
        return token
    }

    /// Reads the tokens into memory.
    ///
    /// Call it before the first request is accepted: without it every request would be.
    public func loadTokens() async throws(StoreError) {
        tokens.replace(
            try await attempting("reading tokens") { () throws(PQError) in try await tokenStore.all() })
    }

    /// Reads the tokens again whenever they change, and records their uses.
    func refreshTokens(_ logger: Logger) async {
        var known: [Int64] = []
        while !Task.isCancelled {
            do {
                let version = try await tokenStore.version()
                if version != known {
                    try await loadTokens()
                    known = version
                }
                let uses = tokens.takeUnrecordedUses()
                if !uses.isEmpty { try await tokenStore.recordUses(uses) }
            } catch {
                if Task.isCancelled { return }
                logger.warning(
                    "cannot read the tokens; the last known ones apply", metadata: ["error": "\(error)"])
            }
            do { try await Task.sleep(for: Self.tokenRefreshInterval) } catch { return }
        }
    }
}
