internal import HTTPTypes
internal import Ledger
internal import LedgerJWT
internal import LedgerStore
internal import LedgerWire
internal import NIOCore
internal import NIOHTTP1
internal import NIOHTTPTypesHTTP1
internal import Synchronization

/// Decides whether a caller may make a request.
///
/// ``Endpoint`` checks every routed request. The handlers before the router make the same checks, and forward every
/// request that they do not permit: only ``Endpoint`` refuses.
final class AccessControl: Sendable {
    /// The maximum memory of the remembered tags, in bytes.
    private static let tagBytesMax = 4 << 20
    /// The approximate memory of a remembered job without its tags, in bytes.
    private static let jobBytes = 120

    private let tokens: TokenRegistry
    /// The verifier of JSON Web Tokens; nil if none are accepted.
    private let jwt: JWTVerifier?
    private let service: any LedgerService
    /// The tags of jobs, which never change.
    private let tags = Mutex(BoundedCache<JobID, [Name: Name]>(costMax: tagBytesMax))

    init(service: any LedgerService, jwt: JWTVerifier? = nil) {
        self.service = service
        self.jwt = jwt
        tokens = service.tokens
    }

    /// Whether a request needs a token.
    var isRequired: Bool { tokens.isRequired || jwt != nil }

    /// A number that changes with every change of the tokens' permissions.
    private var generation: UInt64 { tokens.generation &+ (jwt?.generation ?? 0) }

    // MARK: Scopes

    /// Returns the access of a caller if its scopes permit a route.
    ///
    /// It does not examine whether a job is within the caller's confinement.
    ///
    /// - Parameter job: The job in the path, whose share link may have left a cookie.
    func access(
        to route: RoutePermission, method: HTTPRequest.Method, _ fields: HTTPFields, job: JobID?
    ) -> Result<Access, HTTPProblem> {
        guard let scope = route.scope, isRequired else { return .success(.everything) }
        return identify(method, fields, job: job).flatMap { access in
            guard access.permits(scope) else { return .failure(.forbidden(access, lacking: scope)) }
            if case .ledger = route, !access.confinement.isUnconfined { return .failure(.wholeLedger(access)) }
            return .success(access)
        }
    }

    /// The access granted to earlier requests of a connection.
    ///
    /// It is found by the value of their `Authorization` header. Checking a token takes two SHA-256 and an index of all
    /// header fields: a seventh of the time of a small request.
    struct Memory {
        fileprivate let authorization: String
        fileprivate let access: Access
        fileprivate let generation: UInt64
        fileprivate let end: NIODeadline
    }

    /// Returns the access of a fast request about a job, and remembers it.
    ///
    /// Nil if the request may not be permitted.
    func access(
        to route: RoutePermission, _ head: HTTPRequestHead, _ request: FastPathRequest, _ memory: inout Memory?
    ) -> Access? {
        guard let scope = route.scope, isRequired else { return .everything }
        if let memory, let authorization = request.authorization,
            memory.authorization.utf8.elementsEqual(authorization.utf8),
            memory.generation == generation, NIODeadline.now() < memory.end
        {
            return memory.access.permits(scope) ? memory.access : nil
        }
        // The generation is read before the token is checked.
        let generation = generation
        guard
            let method = HTTPRequest.Method(rawValue: head.method.rawValue),
            case .success(let access) = self.access(
                to: route, method: method, HTTPFields(head.headers, splitCookie: false), job: request.job)
        else { return nil }
        memory = request.authorization.map {
            Memory(
                authorization: $0, access: access, generation: generation,
                end: .now() + TimeAmount(TokenRegistry.memoryMax))
        }
        return access
    }

    private func identify(
        _ method: HTTPRequest.Method, _ fields: HTTPFields, job: JobID?
    ) -> Result<Access, HTTPProblem> {
        let credentials = Credentials(fields)
        if let bearer = credentials.bearer { return accept(bearer) }
        let shared = job.flatMap { credentials.cookie(Credentials.shareCookie($0)) }
        let own = credentials.cookie(Credentials.loginCookie)
        guard let first = shared ?? own else { return .failure(.unauthenticated) }
        // Other sites can make a browser send a form with the cookie, but not read a response to it.
        guard method == .get || method == .head else { return .failure(.cookieOnly) }
        let accepted = accept(first)
        guard case .failure = accepted, shared != nil, let own else { return accepted }
        return accept(own)
    }

    /// Whether an access that was granted earlier is still valid.
    func isValid(_ access: Access) -> Bool {
        switch access.credential {
        case .none: !isRequired
        case .token(let id): tokens.isValid(id)
        case .signed(let token): jwt?.isValid(token) ?? false
        }
    }

    /// Returns when the token of an access expires; nil for never.
    func expiry(of access: Access) -> Timestamp? {
        switch access.credential {
        case .none: nil
        case .token(let id): tokens.expiry(of: id)
        case .signed(let token): token.expiresAt
        }
    }

    /// Throws if an access to a route that was granted is no longer valid.
    func check(_ access: Access, _ route: RoutePermission) throws(HTTPProblem) {
        guard route.scope == nil || isValid(access) else {
            if case .signed = access.credential { throw HTTPProblem(.withdrawn) }
            throw .unauthenticated(.revoked)
        }
    }

    private func accept(_ text: String) -> Result<Access, HTTPProblem> {
        guard let jwt, text.utf8.contains(UInt8(ascii: ".")) else {
            return tokens.access(of: text).mapError { .unauthenticated($0) }
        }
        return jwt.access(of: text).mapError { HTTPProblem($0) }
    }

    /// Reads the keys of JSON Web Tokens again, if that may let a refused request pass.
    ///
    /// - Returns: Whether to check the request again.
    func reloadKeys(after problem: HTTPProblem) async -> Bool {
        guard problem.isUnknownKey, let jwt else { return false }
        return await jwt.reloadForUnknownKey()
    }

    // MARK: Confinement

    /// Returns whether a job is within a caller's confinement.
    ///
    /// Nil if the tags of the job are not remembered.
    func includes(_ job: JobID, _ confinement: Confinement) -> Bool? {
        if confinement.isUnconfined { return true }
        if confinement.job.map({ $0 != job }) ?? false { return false }
        if confinement.tags.isEmpty { return true }
        return tags.withLock { $0.find(job) { _ in true } }.map { confinement.includes(job, tags: $0) }
    }

    /// Returns whether a job exists and is within a caller's confinement.
    func find(_ job: JobID, _ confinement: Confinement) async throws(StoreError) -> Bool {
        if let known = includes(job, confinement) { return known }
        return try await !missing([job], confinement).contains(job)
    }

    /// Callback variant of ``find(_:_:)`` for callers without a task.
    ///
    /// After a failure, the result is false.
    ///
    /// - Parameter whenDone: Called once, on any thread.
    func find(_ job: JobID, _ confinement: Confinement, whenDone: @escaping @Sendable (Bool) -> Void) {
        if let known = includes(job, confinement) { return whenDone(known) }
        service.stampedJob(job) { [self] result in
            guard case .success(let found?) = result else { return whenDone(false) }
            remember(job, found.view.description.tags)
            whenDone(confinement.includes(job, tags: found.view.description.tags))
        }
    }

    /// Returns those jobs that do not exist or are outside of a caller's confinement.
    func missing(_ jobs: Set<JobID>, _ confinement: Confinement) async throws(StoreError) -> Set<JobID> {
        var missing: Set<JobID> = []
        var unknown: [JobID] = []
        for job in jobs {
            switch includes(job, confinement) {
            case true?: break
            case false?: missing.insert(job)
            case nil: unknown.append(job)
            }
        }
        guard !unknown.isEmpty else { return missing }
        let found = try await service.tags(of: unknown)
        for job in unknown {
            guard let tags = found[job] else {
                missing.insert(job)
                continue
            }
            remember(job, tags)
            if !confinement.includes(job, tags: tags) { missing.insert(job) }
        }
        return missing
    }

    private func remember(_ job: JobID, _ tags: [Name: Name]) {
        let tagBytes = tags.reduce(0) { $0 + 40 + $1.key.text.utf8.count + $1.value.text.utf8.count }
        self.tags.withLock { $0.put(tags, job, cost: Self.jobBytes + tagBytes) }
    }
}

extension HTTPProblem {
    /// The challenge of RFC 6750.
    private static func challenge(_ error: String? = nil) -> HTTPFields {
        [.wwwAuthenticate: "Bearer realm=\"progress-ledger\"\(error.map { ", error=\"\($0)\"" } ?? "")"]
    }

    /// A request without a token.
    static let unauthenticated = HTTPProblem(
        .unauthorized, "Token required",
        "This ledger requires a token. Send it as 'Authorization: Bearer TOKEN', or set PROGRESS_LEDGER_TOKEN.",
        headers: challenge()
    ).refusing(.token)

    /// A request with a token that is not accepted.
    fileprivate static func unauthenticated(_ refusal: TokenRegistry.Refusal) -> HTTPProblem {
        let detail =
            switch refusal {
            case .unknown: "This ledger has no such token. Check that it is complete and for this server."
            case .expired: "The token has expired. Ask for a new one."
            case .revoked: "The token was revoked. Ask for a new one."
            }
        return HTTPProblem(.unauthorized, "Token not accepted", detail, headers: challenge("invalid_token"))
            .refusing(.token)
    }

    /// A request with a JSON Web Token that is not accepted.
    fileprivate init(_ refusal: JWTRefusal) {
        switch refusal {
        case .keysUnavailable:
            self.init(
                .serviceUnavailable, "Keys unavailable", refusal.detail, headers: HTTPFields(retryAfter: .seconds(1)))
        case .noRule(let reporter):
            self.init(.forbidden, "No permission", refusal.detail, headers: Self.challenge("insufficient_scope"))
            self.refusal = .scope
            caller = reporter
        default:
            self.init(.unauthorized, "Token not accepted", refusal.detail, headers: Self.challenge("invalid_token"))
            self.refusal = .token
            isUnknownKey = refusal == .unknownKey
        }
    }

    /// A request that needs another scope.
    fileprivate static func forbidden(_ access: Access, lacking scope: Scope) -> HTTPProblem {
        HTTPProblem(
            .forbidden, "Scope missing",
            "The token lacks the scope \(scope.rawValue), which this route needs.",
            headers: challenge("insufficient_scope")
        ).refusing(.scope, by: access)
    }

    /// A request about the whole ledger by a confined caller.
    fileprivate static func wholeLedger(_ access: Access) -> HTTPProblem {
        HTTPProblem(
            .forbidden, "Whole ledger",
            "The token is confined to some jobs, and this route is about the whole ledger."
        ).refusing(.confinement, by: access)
    }

    /// A change with a cookie as the only token.
    fileprivate static let cookieOnly = HTTPProblem(
        .unauthorized, "Token required",
        "The login of the pages permits reading only. Send the token as 'Authorization: Bearer TOKEN'.",
        headers: challenge()
    ).refusing(.token)
}
