public import Ledger
internal import Synchronization

/// The tokens of a ledger, in memory.
///
/// Requests are checked without a query. ``PostgresLedger`` reads the tokens again when they change: a new or revoked
/// token takes effect within two seconds. While the database does not answer, the last known tokens apply.
public final class TokenRegistry: Sendable {
    /// Why a token is not accepted.
    public enum Refusal: Error, Hashable, Sendable {
        /// The text is not that of a token, or that of no token of this ledger.
        case unknown
        case expired
        case revoked
    }

    /// A token with the digest of its text.
    struct Entry: Sendable {
        let token: AccessToken
        let digest: [UInt8]
    }

    /// A state of the stored tokens: both counts only grow.
    ///
    /// Tokens are never deleted, and a revocation is never undone.
    package struct Version: Hashable, Sendable {
        package var tokens: Int64 = 0
        package var revoked: Int64 = 0

        package init(tokens: Int64 = 0, revoked: Int64 = 0) {
            self.tokens = tokens
            self.revoked = revoked
        }

        /// Whether it is this state or a later one.
        func includes(_ other: Version) -> Bool { tokens >= other.tokens && revoked >= other.revoked }
    }

    private struct State {
        var entries: [AccessToken.ID: Entry] = [:]
        /// The version of the stored tokens that the entries have at least.
        var version = Version()
        /// When tokens were used that are not yet recorded as such.
        var unrecordedUses: [AccessToken.ID: Timestamp] = [:]
        /// When each token was last recorded as used, in this process.
        var recordedUses: [AccessToken.ID: Timestamp] = [:]
    }

    /// The minimum time between two recorded uses of a token, in microseconds.
    private static let usePrecision: Int64 = 60_000_000

    private let state = Mutex(State())
    private let isRequiredFlag = Atomic(false)
    private let changes = Atomic<UInt64>(0)
    private let clock: @Sendable () -> Timestamp

    /// Creates a registry without tokens.
    package init(clock: @escaping @Sendable () -> Timestamp = { .now }) {
        self.clock = clock
    }

    /// Whether a request needs a token: the ledger has or had one.
    ///
    /// A revoked token counts, so that revoking the last token does not open the ledger.
    public var isRequired: Bool { isRequiredFlag.load(ordering: .acquiring) }

    /// A number that changes with every change of the tokens.
    ///
    /// A caller may remember an access that was granted while it is the same, and for ``memoryMax`` at most.
    public var generation: UInt64 { changes.load(ordering: .acquiring) }

    /// The maximum time for which a granted access may be remembered.
    ///
    /// Afterwards it is noticed that the token has expired, and that it is used.
    public static let memoryMax: Duration = .seconds(1)

    /// Returns the access of the holder of a token, and records its use.
    ///
    /// Costs two SHA-256 of a short text. A wrong secret is not distinguished from an unknown token.
    public func access(of text: String) -> Result<Access, Refusal> {
        guard let presented = TokenText(text) else { return .failure(.unknown) }
        let digest = presented.digest
        let now = clock()
        return state.withLock { state in
            guard let entry = state.entries[presented.id], TokenText.areEqual(entry.digest, digest) else {
                return .failure(.unknown)
            }
            if let refusal = entry.token.refusal(at: now) { return .failure(refusal) }
            let recorded = state.recordedUses[presented.id] ?? entry.token.lastUsedAt
            if recorded.map({ now.microseconds - $0.microseconds >= Self.usePrecision }) ?? true {
                state.unrecordedUses[presented.id] = now
                state.recordedUses[presented.id] = now
            }
            return .success(entry.token.access)
        }
    }

    /// Whether a token that was accepted earlier still is.
    ///
    /// For streams, which last longer than a request.
    public func isValid(_ id: AccessToken.ID) -> Bool {
        let now = clock()
        return state.withLock { $0.entries[id]?.token.state(at: now) == .active }
    }

    /// Replaces all tokens, unless later ones are known.
    ///
    /// - Parameter version: The version of the stored tokens, read before the tokens.
    package func replace(_ entries: [(token: AccessToken, digest: [UInt8])], _ version: Version) {
        state.withLock { state in
            // Two loads may overlap, and the older one may end last.
            guard version.includes(state.version) else { return }
            state.version = version
            changes.add(1, ordering: .releasing)
            state.entries = Dictionary(
                entries.map { ($0.token.id, Entry(token: $0.token, digest: $0.digest)) },
                uniquingKeysWith: { _, last in last })
        }
        if version.tokens > 0 { isRequiredFlag.store(true, ordering: .releasing) }
    }

    /// Replaces one token, which has just been revoked.
    package func revoked(_ token: AccessToken) {
        state.withLock { state in
            guard let entry = state.entries[token.id] else { return }
            state.entries[token.id] = Entry(token: token, digest: entry.digest)
            changes.add(1, ordering: .releasing)
        }
    }

    /// The tags that confine any holder of a token, active or not.
    public var confiningTags: Set<Name> {
        state.withLock { state in
            state.entries.values.reduce(into: []) { $0.formUnion($1.token.confinement.tags.keys) }
        }
    }

    /// Returns when a token expires; nil for never.
    public func expiry(of id: AccessToken.ID) -> Timestamp? {
        state.withLock { $0.entries[id]?.token.expiresAt }
    }

    /// Adds uses that could not be recorded.
    package func addUnrecordedUses(_ uses: [(token: AccessToken.ID, at: Timestamp)]) {
        state.withLock { state in
            for use in uses where state.unrecordedUses[use.token] == nil { state.unrecordedUses[use.token] = use.at }
        }
    }

    /// Removes and returns the uses that are to be recorded.
    package func takeUnrecordedUses() -> [(token: AccessToken.ID, at: Timestamp)] {
        state.withLock { state in
            defer { state.unrecordedUses = [:] }
            return state.unrecordedUses.map { (token: $0.key, at: $0.value) }
        }
    }
}

extension AccessToken {
    fileprivate func refusal(at moment: Timestamp) -> TokenRegistry.Refusal? {
        switch state(at: moment) {
        case .active: nil
        case .expired: .expired
        case .revoked: .revoked
        }
    }
}
