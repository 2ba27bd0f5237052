public import Ledger
public import LedgerStore

extension InMemoryLedger {
    public func createToken(
        _ request: AccessTokenRequest, by creator: Name?
    ) throws(StoreError) -> (token: AccessToken, text: String) {
        let text = TokenText.random()
        let token = AccessToken(
            id: text.id, name: request.name, scopes: request.scopes, confinement: request.confinement,
            createdAt: Self.now, createdBy: creator, expiresAt: request.expiresAt, revokedAt: nil, lastUsedAt: nil)
        try changeTokens { stored throws(StoreError) in
            guard !stored.contains(where: { $0.token.name == request.name }) else {
                throw StoreError(
                    .conflict, "a token has or had the name '\(request.name)', and names of tokens are never used again"
                )
            }
            stored.append((token, text.digest))
        }
        return (token, text.text)
    }

    public func listTokens(within confinement: Confinement) -> [AccessToken] {
        storedTokens.map(\.token).filter { $0.confinement.isWithin(confinement) }
    }

    public func revokeToken(
        _ id: AccessToken.ID, within confinement: Confinement
    ) throws(StoreError) -> AccessToken? {
        var revoked: AccessToken?
        try changeTokens { stored throws(StoreError) in
            guard
                let index = stored.firstIndex(where: {
                    $0.token.id == id && $0.token.confinement.isWithin(confinement)
                })
            else { return }
            let old = stored[index].token
            let token = AccessToken(
                id: old.id, name: old.name, scopes: old.scopes, confinement: old.confinement,
                createdAt: old.createdAt, createdBy: old.createdBy, expiresAt: old.expiresAt,
                revokedAt: old.revokedAt ?? Self.now, lastUsedAt: old.lastUsedAt)
            stored[index].token = token
            revoked = token
        }
        return revoked
    }
}
