public import Ledger
internal import Logging
internal import PQ

extension PostgresLedger {
    /// The interval between checks for changed tokens.
    private static let tokenRefreshInterval: Duration = .seconds(1)
    /// The time after which all running servers know a change of the tokens.
    public static let tokenPropagation: Duration = .seconds(2)

    public func createToken(
        _ request: AccessTokenRequest, by creator: Name?
    ) async throws(StoreError) -> (token: AccessToken, text: String) {
        let text = TokenText.random()
        let created: AccessToken?
        do throws(PQError) {
            created = try await tokenStore.create(request, text, by: creator)
        } catch {
            guard error.violates("access_token_name_unique") else {
                throw StoreError(error, while: "creating a token")
            }
            throw StoreError(
                .conflict, "a token has or had the name '\(request.name)', and names of tokens are never used again")
        }
        guard let token = created else {
            throw StoreError(
                .conflict, "the ledger has the maximum of \(Limits.tokensMax) active tokens; revoke some")
        }
        await loadTokensIfPossible()
        return (token, text.text)
    }

    public func listTokens(within confinement: Confinement) async throws(StoreError) -> [AccessToken] {
        let all = try await attempting("reading tokens") { () throws(PQError) in try await tokenStore.newest() }
        return all.filter { $0.confinement.isWithin(confinement) }
    }

    public func revokeToken(
        _ id: AccessToken.ID, within confinement: Confinement
    ) async throws(StoreError) -> AccessToken? {
        let token = try await attempting("revoking a token") { () throws(PQError) in
            try await tokenStore.revoke(id, within: confinement)
        }
        if let token { tokens.revoked(token) }
        await loadTokensIfPossible()
        return token
    }

    /// Reads the tokens into memory.
    ///
    /// Call it before the server accepts requests: until then every request is permitted.
    public func loadTokens() async throws(StoreError) {
        let (version, accepted) = try await attempting("reading tokens") { () throws(PQError) in
            (try await tokenStore.version(), try await tokenStore.activeOrRecentlyEnded())
        }
        tokens.replace(accepted, version)
    }

    /// Reads the tokens into memory; after a failure ``refreshTokens(_:)`` does it.
    private func loadTokensIfPossible() async {
        do { try await loadTokens() } catch {
            logger.warning("cannot read the tokens yet", metadata: ["error": "\(error)"])
        }
    }

    /// Reads the tokens again whenever they change, and records their uses.
    func refreshTokens(_ logger: Logger) async {
        var known: TokenRegistry.Version?
        while !Task.isCancelled {
            do {
                let version = try await tokenStore.version()
                if version != known {
                    try await loadTokens()
                    known = version
                }
                await recordUses(logger)
            } catch {
                if Task.isCancelled { return }
                logger.warning(
                    "cannot read the tokens; the last known ones apply", metadata: ["error": "\(error)"])
            }
            do { try await Task.sleep(for: Self.tokenRefreshInterval) } catch { return }
        }
    }

    private func recordUses(_ logger: Logger) async {
        let uses = tokens.takeUnrecordedUses()
        guard !uses.isEmpty else { return }
        do { try await tokenStore.recordUses(uses) } catch {
            tokens.addUnrecordedUses(uses)
            if !Task.isCancelled {
                logger.warning("cannot record the uses of tokens", metadata: ["error": "\(error)"])
            }
        }
    }
}
