internal import HTTPTypes
internal import Ledger
internal import Synchronization

/// Limits the number of concurrent long requests.
///
/// These compute or stream for long, such as exports, verifications and histories. Without a limit for each token, the
/// requests of one caller would keep out those of all others.
final class LongRequests: Sendable {
    private struct Counts {
        var all = 0
        var byCaller: [Name: Int] = [:]
    }

    /// A slot for one long request, freed when the permit is released.
    final class Permit: Sendable {
        private let requests: LongRequests
        private let caller: Name?

        fileprivate init(_ requests: LongRequests, _ caller: Name?) {
            self.requests = requests
            self.caller = caller
        }

        deinit { requests.leave(caller) }
    }

    private let settings: ServerSettings
    private let counts = Mutex(Counts())

    init(settings: ServerSettings) {
        self.settings = settings
    }

    /// Returns a permit for a request.
    ///
    /// - Throws: 429 if the caller's token has as many requests in progress as it may, 503 if the server has.
    func enter(_ access: Access) throws(HTTPProblem) -> Permit {
        let (allMax, tokenMax) = (settings.longRequestsMax, settings.longRequestsPerTokenMax)
        let refusal: HTTPProblem? = counts.withLock { counts in
            if let caller = access.reporter, counts.byCaller[caller, default: 0] >= tokenMax {
                return Self.refusal(.tooManyRequests, "This token has \(tokenMax) long requests in progress.")
            }
            guard counts.all < allMax else {
                return Self.refusal(.serviceUnavailable, "The server has \(allMax) long requests in progress.")
            }
            counts.all += 1
            if let caller = access.reporter { counts.byCaller[caller, default: 0] += 1 }
            return nil
        }
        if let refusal { throw refusal }
        return Permit(self, access.reporter)
    }

    /// Runs the body with a permit.
    func holding<R>(_ access: Access, _ body: () async throws -> R) async throws -> R {
        let permit = try enter(access)
        defer { withExtendedLifetime(permit) {} }
        return try await body()
    }

    private func leave(_ caller: Name?) {
        counts.withLock { counts in
            counts.all -= 1
            guard let caller else { return }
            let rest = (counts.byCaller[caller] ?? 1) - 1
            counts.byCaller[caller] = rest > 0 ? rest : nil
        }
    }

    private static func refusal(_ status: HTTPResponse.Status, _ detail: String) -> HTTPProblem {
        HTTPProblem(
            status, "Too many long requests", "\(detail) Try again when one of them has ended.",
            headers: HTTPFields(retryAfter: .seconds(1)))
    }
}
