internal import Logging
internal import NIOCore
internal import Synchronization

/// Counts and logs refused requests, without anything secret.
final class RefusalLog: Sendable {
    private struct Reason {
        var count: UInt64 = 0
        var second: ContinuousClock.Instant?
        var loggedInSecond = 0
        var suppressed = 0

        /// The maximum number of logged refusals a second.
        ///
        /// A caller without access must not fill the log.
        private static let perSecondMax = 10

        /// Counts a refusal.
        ///
        /// - Returns: The number of refusals that were not logged since the last one that was; nil if this one is not
        ///   to be logged either.
        mutating func add(at now: ContinuousClock.Instant) -> Int? {
            count += 1
            if second.map({ $0.duration(to: now) >= .seconds(1) }) ?? true {
                second = now
                loggedInSecond = 0
            }
            guard loggedInSecond < Self.perSecondMax else {
                suppressed += 1
                return nil
            }
            loggedInSecond += 1
            defer { suppressed = 0 }
            return suppressed
        }
    }

    private let reasons = Mutex<[HTTPProblem.Refusal: Reason]>([:])
    private let now: @Sendable () -> ContinuousClock.Instant

    init(now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }) {
        self.now = now
    }

    /// The number of refused requests by reason, since the process started.
    var counts: [(reason: HTTPProblem.Refusal, count: UInt64)] {
        let reasons = reasons.withLock { $0 }
        return HTTPProblem.Refusal.allCases.map { ($0, reasons[$0]?.count ?? 0) }
    }

    /// Counts and logs a problem if it is the refusal of a caller.
    ///
    /// - Parameter route: The path of the route with the names of its parameters; nil if no route was reached.
    func record(
        _ problem: HTTPProblem, of request: RequestIdentity, method: String, route: String?,
        from address: SocketAddress?, _ logger: Logger
    ) {
        guard let refusal = problem.refusal else { return }
        guard let suppressed = reasons.withLock({ $0[refusal, default: Reason()].add(at: now()) }) else { return }
        var metadata: Logger.Metadata = ["refusal": "\(refusal.rawValue)", "http.method": "\(method)"]
        if let route { metadata["http.route"] = "\(route)" }
        if let client = address?.ipAddress { metadata["client.address"] = "\(client)" }
        if let caller = problem.caller { metadata["caller"] = "\(caller)" }
        if suppressed > 0 { metadata["refusals.suppressed"] = "\(suppressed)" }
        request.logger(logger).notice("refused a request", metadata: metadata)
    }
}
