import NIOCore
import NIOHTTP1

extension LedgerClient {
    /// Sends a request, repeats it as the policy allows, and returns the response.
    ///
    /// - Parameter limit: The moment at which the function fails at the latest; nil leaves that to the settings.
    func perform(
        _ request: LedgerRequest, until limit: ContinuousClock.Instant? = nil
    ) async throws(LedgerClientError) -> ReceivedResponse {
        try await exchange(request, delivery: .collected(bytesMax: settings.responseBytesMax), until: limit).response
    }

    /// Sends a request with a streamed response.
    ///
    /// The caller owns the connection and must release or discard it.
    func open(
        _ request: LedgerRequest
    ) async throws(LedgerClientError) -> (connection: HTTPConnection, headers: HTTPHeaders) {
        let (response, connection) = try await exchange(request, delivery: .streamed)
        guard response.isStreamed, let connection else {
            throw LedgerClientError(
                .unexpectedResponse, "Cannot \(request.purpose): unexpected status \(response.status).",
                status: response.status)
        }
        return (connection, response.headers)
    }

    private func exchange(
        _ request: LedgerRequest, delivery: Exchange.Delivery, until limit: ContinuousClock.Instant? = nil
    ) async throws(LedgerClientError) -> (response: ReceivedResponse, connection: HTTPConnection?) {
        let policy = RetryPolicy(patience: settings.patience)
        let begin = ContinuousClock.now
        var tries = 0
        var isOutcomeUnknown = false
        while true {
            if let limit, limit <= .now {
                throw LedgerClientError(.deadlineExceeded(mayHaveBeenSent: false), of: request, at: address)
            }
            tries += 1
            let failure: RetryPolicy.Failure
            let error: LedgerClientError
            do throws(TransportError) {
                let (response, connection) = try await exchangeOnce(request, delivery: delivery, until: limit)
                guard let refused = LedgerClientError(response, to: request, at: address) else {
                    return (response, connection)
                }
                error = refused
                failure = RetryPolicy.Failure(refused, status: response.status, isWrite: request.isWrite)
            } catch let lost {
                error = LedgerClientError(lost, of: request, at: address)
                failure = RetryPolicy.Failure(lost)
            }
            isOutcomeUnknown = isOutcomeUnknown || failure.isOutcomeUnknown
            guard !request.isTriedOnce,
                let pause = policy.pause(
                    after: failure, tries: tries, elapsed: begin.duration(to: .now),
                    isSafeToRepeat: request.isSafeToRepeat, chance: .random(in: 0..<1)),
                limit.map({ .now + pause < $0 }) ?? true
            else { throw request.hasIdempotencyKey && isOutcomeUnknown ? error.withUnknownOutcome : error }
            do {
                try await Task.sleep(for: pause)
            } catch {
                throw LedgerClientError(
                    .cancelled(mayHaveBeenSent: failure.isOutcomeUnknown), of: request, at: address)
            }
        }
    }

    /// Performs one try, and returns a connection only with a streamed response.
    ///
    /// An idle connection may turn out to be closed. If nothing was sent on it, the client takes another one at once,
    /// because that is not a failure of the server.
    private func exchangeOnce(
        _ request: LedgerRequest, delivery: Exchange.Delivery, until limit: ContinuousClock.Instant?
    ) async throws(TransportError) -> (response: ReceivedResponse, connection: HTTPConnection?) {
        let usual = ContinuousClock.now + settings.deadline + request.wait
        let deadline = limit.map { min($0, usual) } ?? usual
        for _ in 0..<settings.connectionsMax {
            let connection = try await pool.acquire(deadline: deadline)
            do throws(TransportError) {
                return try await exchange(request, on: connection, delivery: delivery, deadline: deadline)
            } catch .notConnected {
                continue
            }
        }
        throw .notConnected("the server closed every connection at once")
    }

    private func exchange(
        _ request: LedgerRequest, on connection: HTTPConnection, delivery: Exchange.Delivery,
        deadline: ContinuousClock.Instant
    ) async throws(TransportError) -> (response: ReceivedResponse, connection: HTTPConnection?) {
        do {
            let response = try await connection.send(
                head(of: request), body: request.body, delivery: delivery, deadline: deadline)
            if response.isStreamed { return (response, connection) }
            pool.release(connection)
            return (response, nil)
        } catch {
            pool.discard(connection)
            throw error
        }
    }

    private func head(of request: LedgerRequest) -> HTTPRequestHead {
        var headers = HTTPHeaders()
        headers.add(name: "host", value: address.hostHeader)
        headers.add(name: "user-agent", value: "progress-ledger-client")
        if !request.headers.contains(where: { $0.name == "accept" }) {
            headers.add(name: "accept", value: "application/json, application/problem+json")
        }
        if let token { headers.add(name: "authorization", value: "Bearer \(token)") }
        for (name, value) in request.headers { headers.add(name: name, value: value) }
        if let body = request.body { headers.add(name: "content-length", value: String(body.readableBytes)) }
        return HTTPRequestHead(
            version: .http1_1, method: request.method, uri: address.pathPrefix + request.path, headers: headers)
    }
}

extension RetryPolicy.Failure {
    init(_ error: TransportError) {
        switch error {
        case .cancelled, .responseTooLarge: self = .final
        case .notConnected, .tooManyWaiting: self = .nothingWasTaken(retryAfter: nil)
        case .deadlineExceeded(let mayHaveBeenSent):
            self = mayHaveBeenSent ? .outcomeUnknown(retryAfter: nil) : .nothingWasTaken(retryAfter: nil)
        case .lost: self = .outcomeUnknown(retryAfter: nil)
        }
    }

    init(_ error: LedgerClientError, status: Int, isWrite: Bool) {
        switch status {
        // The ledger reports an unknown outcome, or a proxy responded; some proxies do so after they lost the
        // connection to the ledger.
        case 503 where isWrite && error.code != .unavailable: self = .outcomeUnknown(retryAfter: error.retryAfter)
        case 429, 503: self = .nothingWasTaken(retryAfter: error.retryAfter)
        case 502: self = .outcomeUnknown(retryAfter: error.retryAfter)
        case 500...599 where isWrite: self = .outcomeUnknown(retryAfter: error.retryAfter)
        default: self = .final
        }
    }
}
