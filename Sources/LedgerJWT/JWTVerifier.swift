internal import FoundationEssentials
public import Ledger
internal import LedgerWire
public import Logging
internal import ProgressLedgerClient
internal import Synchronization

/// Verifies JSON Web Tokens (RFC 7519) of one issuer and determines their access.
///
/// jwt-kit is not used: it falls back to another key if the key id is unknown, lets a token choose the algorithm of a
/// key without one, and accepts repeated claims.
public final class JWTVerifier: Sendable {
    private struct State {
        /// The issuer's keys; nil until they were read from an address.
        var keys: JWTKeySet?
        var rules: ClaimRules
        /// A number that grows with each change of the rules.
        var rulesVersion: UInt64 = 0
        /// The content of the files from which keys and rules were read.
        var keysContent: [UInt8] = []
        var rulesContent: [UInt8]
        /// The access of verified tokens by their texts.
        var verified: [String: Access] = [:]
        /// A number that grows with each change of the keys or the rules.
        var generation: UInt64 = 0
        /// The reading of the keys in progress because of an unknown key.
        var reload: Task<Bool, Never>?
        /// The numbers of the last readings of the keys that began and that took effect.
        var readings: (begun: UInt64, applied: UInt64) = (0, 0)
        /// When an unknown key may next cause one.
        var nextReload: ContinuousClock.Instant

        mutating func replaceKeys(_ keys: JWTKeySet, _ content: [UInt8]) {
            self.keys = keys
            keysContent = content
            forgetVerified()
        }

        mutating func replaceRules(_ rules: ClaimRules, _ content: [UInt8]) {
            rulesContent = content
            guard rules != self.rules else { return }
            self.rules = rules
            rulesVersion += 1
            forgetVerified()
        }

        private mutating func forgetVerified() {
            verified = [:]
            generation += 1
        }
    }

    /// How much the clocks of the issuer and of this server may differ, in seconds.
    private static let leeway = 60.0
    /// The maximum number of remembered tokens. Verifying one takes up to 0.2 ms.
    private static let verifiedMax = 1_024
    /// The interval between checks for changed files.
    private static let fileInterval: Duration = .seconds(2)
    /// The interval between readings of an address.
    private static let urlInterval: Duration = .seconds(600)
    /// The interval between readings of an address until one succeeds.
    private static let urlRetryInterval: Duration = .seconds(10)
    /// The minimum interval between readings because of unknown keys.
    private static let unknownKeyInterval: Duration = .seconds(60)
    /// The time for reading an address.
    private static let urlDeadline: Duration = .seconds(5)

    private let settings: JWTSettings
    private let clock: @Sendable () -> Timestamp
    private let now: @Sendable () -> ContinuousClock.Instant
    private let state: Mutex<State>

    /// Reads the rules, and the keys if they are in a file.
    ///
    /// - Parameters:
    ///   - clock: The clock of the expiry; nil for that of this machine.
    ///   - now: The clock of the intervals between readings.
    public init(
        _ settings: JWTSettings, clock: (@Sendable () -> Timestamp)? = nil,
        now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }
    ) throws(JWTSettingsError) {
        self.settings = settings
        self.now = now
        self.clock = clock ?? { Timestamp(microseconds: Int64(Date().timeIntervalSince1970 * 1_000_000)) }
        let content = try Self.read(settings.rules, bytesMax: Self.rulesBytesMax)
        var state = State(
            rules: try Self.rules(content, settings.rules), rulesContent: content, nextReload: now())
        if case .file(let path) = settings.keys {
            let keys = try Self.read(path, bytesMax: JWTKeySet.bytesMax)
            state.replaceKeys(try JWTKeySet(keys, source: path), keys)
        } else if case .url(let url) = settings.keys {
            try Self.check(url)
        }
        self.state = Mutex(state)
    }

    /// A number that changes with every change of the keys or the rules.
    public var generation: UInt64 { state.withLock { $0.generation } }

    // MARK: Tokens

    /// Returns the access of the holder of a token.
    ///
    /// Costs up to 0.2 ms for a new token.
    public func access(of text: String) -> Result<Access, JWTRefusal> {
        guard text.utf8.count <= JWTText.bytesMax else { return .failure(.malformed) }
        let now = clock()
        let (known, keys, rules, rulesVersion, generation) = state.withLock { state in
            (state.verified[text], state.keys, state.rules, state.rulesVersion, state.generation)
        }
        if let known, case .signed(let token) = known.credential, now < token.expiresAt { return .success(known) }
        do throws(JWTRefusal) {
            guard let keys else { throw .keysUnavailable }
            let access = try verify(text, keys, rules, rulesVersion, at: now)
            state.withLock { state in
                guard state.generation == generation else { return }
                if state.verified.count >= Self.verifiedMax { state.verified = [:] }
                state.verified[text] = access
            }
            return .success(access)
        } catch {
            return .failure(error)
        }
    }

    private func verify(
        _ text: String, _ keys: JWTKeySet, _ rules: ClaimRules, _ rulesVersion: UInt64, at now: Timestamp
    ) throws(JWTRefusal) -> Access {
        let token = try JWTText(text)
        let key = try keys.key(of: token)
        let claims = token.claims
        guard claims["iss"]?.text == settings.issuer else { throw .issuer }
        let audiences = claims["aud"]?.elements ?? claims["aud"].map { [$0] } ?? []
        guard audiences.contains(.string(settings.audience)) else { throw .audience }
        let (expiry, beginning) = try token.times()
        let seconds = Double(now.microseconds) / 1e6
        guard seconds < expiry + Self.leeway else { throw .expired }
        guard beginning.map({ $0 - Self.leeway <= seconds }) ?? true else { throw .notYetValid }
        // Last, because it costs most.
        guard key.verifies(token.signature, of: token.signedBytes) else { throw .signature }
        guard let subject = claims["sub"]?.text, !subject.isEmpty else { throw .subject }
        let reporter = Name("jwt:\(rules.issuerName.text):\(subject)")
        guard reporter.isPlain, Limits.reporterLengths.contains(reporter.scalarCount) else { throw .subject }
        guard let permissions = rules.permissions(of: claims) else { throw .noRule(reporter) }
        let end = min((expiry + Self.leeway) * 1e6, Double(Timestamp.latest.microseconds).nextDown)
        let signed = SignedToken(
            keyDigest: key.digest, rulesVersion: rulesVersion, expiresAt: Timestamp(microseconds: Int64(end)))
        return Access(
            credential: .signed(signed), reporter: reporter, scopes: permissions.scopes,
            confinement: permissions.confinement)
    }

    /// Whether a token that was accepted earlier would still be.
    ///
    /// It has not expired, its key is still the issuer's, and the rules are the same.
    public func isValid(_ token: SignedToken) -> Bool {
        guard clock() < token.expiresAt else { return false }
        return state.withLock { state in
            state.rulesVersion == token.rulesVersion
                && state.keys?.keys.contains { $0.digest == token.keyDigest } ?? false
        }
    }

    // MARK: Reading keys and rules

    /// Reads the keys again because a token has an unknown one.
    ///
    /// Does so once a minute at most. Concurrent callers wait for the same reading.
    ///
    /// - Returns: Whether the keys were read.
    public func reloadForUnknownKey() async -> Bool {
        let reload: Task<Bool, Never>? = state.withLock { state in
            if let reload = state.reload { return reload }
            let now = self.now()
            guard state.nextReload <= now else { return nil }
            state.nextReload = now + Self.unknownKeyInterval
            let reload = Task(name: "reading keys") { [self] in
                defer { self.state.withLock { $0.reload = nil } }
                do { try await readKeys() } catch { return false }
                return true
            }
            state.reload = reload
            return reload
        }
        return await reload?.value ?? false
    }

    /// Reads the keys and the rules again when they may have changed.
    ///
    /// Runs until the task is cancelled.
    ///
    /// What cannot be used is logged, and the last keys and rules stay in use: a file may be half replaced.
    public func reloadChanges(_ logger: Logger) async {
        var failures: [String: String] = [:]
        var unusable: [String] = []
        var nextURL = now()
        while !Task.isCancelled {
            await report(to: logger, &failures, settings.rules) { () throws(JWTSettingsError) in try readRules() }
            switch settings.keys {
            case .file(let path):
                await report(to: logger, &failures, path) { () async throws(JWTSettingsError) in try await readKeys() }
            case .url(let url) where nextURL <= now():
                await report(to: logger, &failures, url) { () async throws(JWTSettingsError) in try await readKeys() }
                let isKnown = state.withLock { $0.keys != nil }
                nextURL = now() + (isKnown ? Self.urlInterval : Self.urlRetryInterval)
            case .url: break
            }
            let current = state.withLock { $0.keys?.unusable ?? [] }
            if current != unusable, !current.isEmpty {
                logger.info("some keys of the issuer are not used", metadata: ["reasons": "\(current)"])
            }
            unusable = current
            do { try await Task.sleep(for: Self.fileInterval) } catch { return }
        }
    }

    /// Logs each failure once, until the source can be used again or fails otherwise.
    private func report(
        to logger: Logger, _ failures: inout [String: String], _ source: String,
        _ read: () async throws(JWTSettingsError) -> Void
    ) async {
        do throws(JWTSettingsError) {
            try await read()
            failures[source] = nil
        } catch {
            guard failures.updateValue(error.reason, forKey: source) != error.reason else { return }
            logger.error("cannot read keys or rules; the last ones stay in use", metadata: ["error": "\(error)"])
        }
    }

    private func readKeys() async throws(JWTSettingsError) {
        let number = state.withLock { state in
            state.readings.begun += 1
            return state.readings.begun
        }
        let (source, content) =
            switch settings.keys {
            case .file(let path): (path, try Self.read(path, bytesMax: JWTKeySet.bytesMax))
            case .url(let url): (url, try await Self.download(url, settings.caFile))
            }
        guard content != state.withLock({ $0.keysContent }) else { return }
        let keys = try JWTKeySet(content, source: source)
        state.withLock { state in
            // Two readings may overlap, and the older one may end last.
            guard number > state.readings.applied else { return }
            state.readings.applied = number
            state.replaceKeys(keys, content)
        }
    }

    /// Reads the rules again.
    func readRules() throws(JWTSettingsError) {
        let content = try Self.read(settings.rules, bytesMax: Self.rulesBytesMax)
        guard content != state.withLock({ $0.rulesContent }) else { return }
        let rules = try Self.rules(content, settings.rules)
        state.withLock { $0.replaceRules(rules, content) }
    }

    /// The maximum size of the file with the rules, in bytes.
    private static let rulesBytesMax = 1 << 20

    private static func read(_ path: String, bytesMax: Int) throws(JWTSettingsError) -> [UInt8] {
        guard let content = FileManager.default.contents(atPath: path) else {
            throw JWTSettingsError(source: path, reason: "it cannot be read")
        }
        guard content.count <= bytesMax else {
            throw JWTSettingsError(source: path, reason: "it has more than \(bytesMax) bytes")
        }
        return Array(content)
    }

    private static func rules(_ content: [UInt8], _ path: String) throws(JWTSettingsError) -> ClaimRules {
        do { return try ClaimRules(content) } catch {
            throw JWTSettingsError(source: path, reason: error.summary)
        }
    }

    /// Checks an address of keys.
    ///
    /// A changed response would make forged tokens valid. Therefore plain HTTP is accepted on this machine only.
    private static func check(_ url: String) throws(JWTSettingsError) {
        do {
            let address = try ServerAddress(url)
            guard address.isSecure || address.isLoopback else {
                throw JWTSettingsError(source: url, reason: "the address must begin with https://")
            }
        } catch let error as JWTSettingsError {
            throw error
        } catch {
            throw JWTSettingsError(source: url, reason: "\(error)")
        }
    }

    private static func download(_ url: String, _ caFile: String?) async throws(JWTSettingsError) -> [UInt8] {
        do {
            return try await WebDocument.read(
                url, caFile: caFile, bytesMax: JWTKeySet.bytesMax, deadline: .now + urlDeadline)
        } catch {
            throw JWTSettingsError(source: url, reason: error.message)
        }
    }
}
