internal import AsyncHTTPClient
internal import Ledger
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import NIOSSL

/// Sends messages to receivers, and connects only to addresses that were checked.
///
/// The name of a host is resolved and checked here, and the connection is made to the checked address. So a name that
/// gets another address in between is of no use. Each message has a connection of its own.
struct WebhookClient: Sendable {
    private let targets: WebhookTargets
    private let resolver: AddressResolver
    /// A PEM file of authorities; nil for the system's.
    private let authorities: String?

    /// The time limits of one attempt, without the resolution of the name.
    private static let (connecting, responding): (TimeAmount, TimeAmount) = (.seconds(5), .seconds(15))
    /// The maximum number of addresses that are tried.
    private static let addressesMax = 3
    /// The maximum length of a reason, in characters.
    private static let reasonMax = 300

    init(targets: WebhookTargets, resolver: AddressResolver, authorities: String? = nil) {
        self.targets = targets
        self.resolver = resolver
        self.authorities = authorities
    }

    /// Sends a message once, and returns the outcome.
    func post(
        _ body: [UInt8], to receiver: WebhookAddress, headers: [(name: String, value: String)]
    ) async -> DeliverySchedule.Outcome {
        if let refusal = targets.refusal(of: receiver) { return .noResponse("the URL \(refusal)") }
        let addresses: [NetworkAddress]
        do throws(AddressResolver.Failure) {
            addresses = try await resolver.addresses(of: receiver.host)
        } catch {
            return .noResponse(error.reason)
        }
        if let refusal = targets.refusal(of: receiver, at: addresses) { return .noResponse("the URL \(refusal)") }
        var reason = "the host's name has no address"
        for address in addresses.prefix(Self.addressesMax) {
            do {
                return try await post(body, to: receiver, at: address, headers: headers)
            } catch {
                reason = Self.reason(error)
                // Otherwise the receiver may have got the message.
                guard Self.isBeforeSending(error), !Task.isCancelled else { break }
            }
        }
        return .noResponse(String(reason.prefix(Self.reasonMax)))
    }

    private func post(
        _ body: [UInt8], to receiver: WebhookAddress, at address: NetworkAddress,
        headers: [(name: String, value: String)]
    ) async throws -> DeliverySchedule.Outcome {
        var configuration = HTTPClient.Configuration()
        // The client looks up the host as it is written in the URL.
        configuration.dnsOverride = [receiver.host: address.description]
        configuration.redirectConfiguration = .disallow
        configuration.timeout = .init(connect: Self.connecting, read: Self.responding)
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.httpVersion = .http1Only
        if let authorities {
            var tls = TLSConfiguration.makeClientConfiguration()
            tls.trustRoots = .file(authorities)
            configuration.tlsConfiguration = tls
        }
        let client = HTTPClient(eventLoopGroup: MultiThreadedEventLoopGroup.singleton, configuration: configuration)
        do {
            var request = HTTPClientRequest(url: receiver.text)
            request.method = .POST
            request.headers.add(name: "content-type", value: "application/json")
            request.headers.add(name: "user-agent", value: "progress-ledger")
            for (name, value) in headers { request.headers.add(name: name, value: value) }
            request.body = .bytes(ByteBuffer(bytes: body))
            let response = try await client.execute(request, timeout: Self.responding)
            let retryAfter = response.headers.first(name: "retry-after").flatMap { Int64($0) }
            let outcome = DeliverySchedule.Outcome.response(
                status: Int(response.status.code),
                retryAfter: retryAfter.map { .seconds(min(max($0, 0), 86_400)) })
            // Its body, however long, is not read.
            try await client.shutdown()
            return outcome
        } catch {
            try await client.shutdown()
            throw error
        }
    }

    private static func isBeforeSending(_ error: any Error) -> Bool {
        error is NIOConnectionError || error as? HTTPClientError == .connectTimeout
    }

    private static func reason(_ error: any Error) -> String {
        switch error as? HTTPClientError {
        case .connectTimeout?: return "no connection within \(connecting.nanoseconds / 1_000_000_000) s"
        case .deadlineExceeded?, .readTimeout?:
            return "no response within \(responding.nanoseconds / 1_000_000_000) s"
        case .remoteConnectionClosed?: return "the receiver closed the connection without a response"
        default: break
        }
        if let error = error as? NIOConnectionError {
            return "no connection: \(error.connectionErrors.first.map { "\($0.error)" } ?? "the host has no address")"
        }
        return "no response: \(error)"
    }
}
