internal import HTTPTypes
internal import HummingbirdCore
internal import LedgerStore
internal import LedgerWire
internal import Logging
internal import NIOCore
internal import NIOHTTP1
internal import NIOHTTPTypesHTTP1

/// A handler that enforces the rules of HTTP/1.1 on a connection.
///
/// It refuses invalid messages with problem+json, ignores requests for another protocol, responds to HTTP/1.0 as its
/// clients expect, and closes a connection after the last response, when it is idle, and when the server stops. It is
/// next to the parser in the pipeline and counts the requests without a response, so it sends each refusal in order.
final class MessageValidator: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    /// How long a client may read its response after its body was refused.
    ///
    /// Closing at once would reset the connection while bytes of the body are still on their way, and the client would
    /// lose the response.
    private static let lingerTime = TimeAmount.seconds(2)
    /// How many times this time is extended while the client keeps sending.
    ///
    /// Most clients read a response only once they have sent the whole body.
    private static let lingerExtensionsMax = 10

    /// A request that was forwarded and has no complete response.
    private struct OpenRequest {
        var isHTTP10: Bool
        var isHead: Bool
        var keepsAlive: Bool
        var crossOrigin: CrossOriginAccess?
        /// The path below which the client sees the ledger.
        var basePath: String
        /// Whether a proxy states that the client uses TLS.
        var isForwardedSecure: Bool
    }

    /// The response to a request that was not forwarded.
    private struct Refusal {
        let problem: HTTPProblem
        let request: RequestIdentity
        let isHead: Bool
        let crossOrigin: CrossOriginAccess?
    }

    /// The state of reading.
    ///
    /// - betweenMessages: nothing, or an incomplete head, was read. Can become message or discarding.
    /// - message: the rest of a message is read; its head was forwarded. Can become betweenMessages or discarding.
    /// - discarding: incoming data is dropped, because no further request gets a response. Final.
    private enum Reading {
        case betweenMessages
        case message(isUpgrade: Bool)
        case discarding
    }

    private let settings: ServerSettings
    private let origins: OriginPolicy
    private let control: AccessControl
    private let metrics: HTTPMetrics
    private let date: HTTPDate
    private let upgrade: UpgradeSignal
    private let connection: ConnectionRegistry.Connection
    /// How long a connection may be idle; nil for a stream of HTTP/2.
    private let idleMax: TimeAmount?
    private let logger: Logger
    /// Whether the connection comes from a trusted proxy.
    private lazy var isFromTrustedProxy = settings.trustedProxies.contains(connection.remoteAddress)
    private var reading = Reading.betweenMessages
    private var openRequests = CircularBuffer<OpenRequest>(initialCapacity: 1)
    /// A refusal that waits for the responses before it.
    private var refusal: Refusal?
    /// Whether the response in progress is the last one.
    private var isLast = false
    /// Whether the server stops.
    ///
    /// The connection is then closed after the open requests.
    private var isStopping = false
    /// The last `Host` of the connection that is a name of this server.
    private var servedHost: String?
    /// The context of the encoder, from which bytes are written that need no encoding.
    private var encoder: ChannelHandlerContext?
    /// The current response in the wire format, which is written when its end is.
    private var encodedResponse: ByteBuffer?
    private var closeTimer: Scheduled<Void>?
    private var idleTimer: Scheduled<Void>?
    /// Whether data has arrived since the close timer was started.
    private var hasReceivedData = false

    init(
        settings: ServerSettings, origins: OriginPolicy, control: AccessControl, metrics: HTTPMetrics, date: HTTPDate,
        upgrade: UpgradeSignal, connection: ConnectionRegistry.Connection, idleMax: TimeAmount?, logger: Logger
    ) {
        self.settings = settings
        self.origins = origins
        self.control = control
        self.metrics = metrics
        self.date = date
        self.upgrade = upgrade
        self.connection = connection
        self.idleMax = idleMax
        self.logger = logger
    }

    func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { startIdleTimer(context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        context.fireChannelActive()
        startIdleTimer(context)
        guard connection.isAccepted else {
            return refuse(
                HTTPProblem(
                    .serviceUnavailable, "Too many connections",
                    "The server has reached its maximum number of connections. Try again later.",
                    headers: HTTPFields(retryAfter: .seconds(1))), of: nil, context)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        closeTimer?.cancel()
        idleTimer?.cancel()
        connection.closed()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        closeTimer?.cancel()
        idleTimer?.cancel()
        encoder = nil
    }

    /// Closes the connection once it has been idle for too long.
    ///
    /// One timer serves the whole connection, and no request pays for it.
    private func startIdleTimer(_ context: ChannelHandlerContext) {
        guard let idleMax else { return }
        let start = connection.idleStart.map { NIODeadline.uptimeNanoseconds($0) } ?? .now()
        idleTimer = context.eventLoop.assumeIsolated().scheduleTask(deadline: start + idleMax) {
            if let start = self.connection.idleStart, .now() >= .uptimeNanoseconds(start) + idleMax {
                context.close(promise: nil)
            } else {
                self.startIdleTimer(context)
            }
        }
    }

    // MARK: Encoded responses

    /// Lets handlers pass whole responses in the wire format.
    ///
    /// - Parameter encoder: The context of the pipeline's encoder.
    func acceptEncodedResponses(_ encoder: ChannelHandlerContext) {
        self.encoder = encoder
    }

    /// Whether the response to the first open request can be passed in the wire format.
    ///
    /// It cannot if the client needs another one: see ``adapt(_:to:)``.
    var acceptsEncodedResponse: Bool {
        guard encoder != nil, !isLast, let request = openRequests.first else { return false }
        return request.keepsAlive && !request.isHTTP10 && !request.isHead && request.crossOrigin == nil
    }

    /// Accepts the head and the body of the current response in the wire format.
    ///
    /// The caller then writes only the end, with which the pipeline counts the response.
    func accept(_ encodedResponse: ByteBuffer) {
        self.encodedResponse = encodedResponse
    }

    // MARK: Requests

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch (unwrapInboundIn(data), reading) {
        case (_, .discarding): hasReceivedData = true
        case (.head(let head), _): begin(head, context)
        case (.body, _): context.fireChannelRead(data)
        case (.end, .message(let isUpgrade)):
            if isUpgrade { upgrade.hasEnded = true }
            reading = isLast || openRequests.last?.keepsAlive == false ? .discarding : .betweenMessages
            context.fireChannelRead(data)
        case (.end, .betweenMessages): context.fireChannelRead(data)
        }
    }

    private func begin(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        // A request after the last response would be recorded without a response.
        guard !isLast else { return reading = .discarding }
        var head = head
        head.takeOriginForm()
        var (basePath, isForwardedSecure) = (settings.basePath, false)
        if isFromTrustedProxy {
            do throws(HTTPProblem) {
                let forwarded = try ForwardedRequest(head)
                basePath = forwarded.basePath ?? basePath
                isForwardedSecure = forwarded.isSecure
            } catch {
                return refuse(error, of: head, context)
            }
        }
        let redirection = head.removeBasePath(basePath)
        let rules = head.rules(bodyBytesMax: settings.bodyBytesMax, validHost: servedHost)
        // Any other client could give its requests the ids of others.
        if rules.hasRequestID, !isFromTrustedProxy { head.headers.remove(name: "x-request-id") }
        if let problem = rules.problem ?? originProblem(head, rules) ?? redirection {
            return refuse(problem, of: head, context, origins.crossOriginAccess(head))
        }
        if rules.isUpgrade || !rules.keepsAlive || head.version != .http1_1 {
            for name in ["connection", "upgrade", "http2-settings", "keep-alive"] { head.headers.remove(name: name) }
            if !rules.keepsAlive { head.headers.add(name: "connection", value: "close") }
        }
        openRequests.append(
            OpenRequest(
                isHTTP10: head.version != .http1_1, isHead: head.method == .HEAD, keepsAlive: rules.keepsAlive,
                crossOrigin: origins.crossOriginAccess(head), basePath: basePath,
                isForwardedSecure: isForwardedSecure))
        connection.isBusy = true
        reading = .message(isUpgrade: rules.isUpgrade)
        context.fireChannelRead(wrapInboundOut(.head(head)))
    }

    /// Returns the refusal of a request because of its host or origin.
    ///
    /// Most requests of a connection name the same host, and programs send no `Origin`.
    private func originProblem(_ head: HTTPRequestHead, _ rules: HTTPRequestHead.Rules) -> HTTPProblem? {
        if !rules.hasOrigin, let host = rules.host, host == servedHost, head.uri.utf8.first == UInt8(ascii: "/") {
            return nil
        }
        servedHost = rules.host.flatMap { origins.serves($0) ? $0 : nil }
        return origins.problem(head, isAuthenticated: control.isRequired)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let problem = HTTPProblem(parsing: error) else { return context.fireErrorCaught(error) }
        switch reading {
        // The decoder decodes nothing after an error: it reports all further data as another error.
        case .discarding: hasReceivedData = true
        case .betweenMessages where isLast: reading = .discarding
        case .betweenMessages: refuse(problem, of: nil, context)
        case .message:
            reading = .discarding
            if openRequests.isEmpty {
                // The response was sent before the request was read completely.
                context.close(promise: nil)
            } else {
                openRequests[openRequests.index(before: openRequests.endIndex)].keepsAlive = false
                context.fireErrorCaught(UnreadableRequest(problem: problem))
            }
        }
    }

    /// Reads on while data is discarded.
    ///
    /// A client that cannot send the rest of its body would not read its response.
    func channelReadComplete(context: ChannelHandlerContext) {
        context.fireChannelReadComplete()
        if case .discarding = reading { context.read() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelShouldQuiesceEvent {
            isStopping = true
            if openRequests.isEmpty, closeTimer == nil { context.close(promise: nil) }
            return
        }
        if event as? ChannelEvent == .inputClosed {
            if closeTimer != nil { return context.close(promise: nil) }
            connection.inputClosed(on: context.eventLoop)
        }
        context.fireUserInboundEventTriggered(event)
    }

    // MARK: Responses

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .head(var head):
            guard let request = openRequests.first, !head.status.isInformational else {
                return context.write(data, promise: promise)
            }
            adapt(&head, to: request)
            context.write(wrapOutboundOut(.head(head)), promise: promise)
        case .body:
            // The response to HEAD is the one to GET without the body.
            if openRequests.first?.isHead == true { promise?.succeed() } else { context.write(data, promise: promise) }
        case .end:
            if !openRequests.isEmpty { openRequests.removeFirst() }
            if openRequests.isEmpty { connection.isBusy = false }
            guard isLast else {
                let written = isStopping && openRequests.isEmpty && refusal == nil ? closing(context, promise) : promise
                if let bytes = encodedResponse {
                    encodedResponse = nil
                    encoder?.write(NIOAny(bytes), promise: written)
                } else {
                    context.write(data, promise: written)
                }
                if openRequests.isEmpty { sendRefusal(context) }
                return
            }
            let written = promise ?? context.eventLoop.makePromise()
            written.futureResult.assumeIsolated().whenComplete { _ in self.linger(context) }
            context.writeAndFlush(data, promise: written)
        }
    }

    /// Closes the connection once a response is sent.
    private func closing(
        _ context: ChannelHandlerContext, _ promise: EventLoopPromise<Void>?
    ) -> EventLoopPromise<Void> {
        let written = promise ?? context.eventLoop.makePromise()
        written.futureResult.assumeIsolated().whenComplete { _ in context.close(promise: nil) }
        return written
    }

    private func adapt(_ head: inout HTTPResponseHead, to request: OpenRequest) {
        request.crossOrigin?.add(to: &head.headers)
        if !request.basePath.isEmpty, let location = head.headers.first(name: "location"), location.first == "/" {
            head.headers.replaceOrAdd(name: "location", value: request.basePath + location)
        }
        let cookies = head.headers["set-cookie"]
        if !cookies.isEmpty {
            head.headers.remove(name: "set-cookie")
            for cookie in cookies {
                head.headers.add(name: "set-cookie", value: Self.adapt(cookie: cookie, to: request))
            }
        }
        var keepsAlive = request.keepsAlive && !head.headers[canonicalForm: "connection"].contains("close")
        if request.isHTTP10 {
            // An HTTP/1.0 client does not support chunks: a body without a length ends with the connection.
            head.version = .http1_0
            if !head.headers.contains(name: "content-length"), head.status.mayHaveResponseBody { keepsAlive = false }
            if keepsAlive { head.headers.replaceOrAdd(name: "connection", value: "keep-alive") }
        }
        if !keepsAlive {
            head.headers.replaceOrAdd(name: "connection", value: "close")
            isLast = true
        }
    }

    /// Limits a cookie to the path and the protocol that the client uses.
    private static func adapt(cookie: String, to request: OpenRequest) -> String {
        let adapted = cookie.replacing("; Path=/;", with: "; Path=\(request.basePath)/;")
        return request.isForwardedSecure && !adapted.contains("; Secure") ? adapted + "; Secure" : adapted
    }

    // MARK: Refusals

    /// Refuses a request.
    ///
    /// - Parameter head: The head of the request; nil if it is unknown.
    private func refuse(
        _ problem: HTTPProblem, of head: HTTPRequestHead?, _ context: ChannelHandlerContext,
        _ crossOrigin: CrossOriginAccess? = nil
    ) {
        reading = .discarding
        refusal = Refusal(
            problem: problem, request: head.map { RequestIdentity($0.headers) } ?? RequestIdentity(),
            isHead: head?.method == .HEAD, crossOrigin: crossOrigin)
        if openRequests.isEmpty { sendRefusal(context) }
    }

    private func sendRefusal(_ context: ChannelHandlerContext) {
        guard let refused = refusal else { return }
        refusal = nil
        let problem = refused.problem
        metrics.refused(status: problem.details.status)
        metrics.refusals.record(
            problem, of: refused.request, method: "other", route: nil, from: connection.remoteAddress, logger)
        let response = problem.response(to: refused.request)
        var head = HTTPResponseHead(response.head)
        head.headers.replaceOrAdd(name: "connection", value: "close")
        head.headers.replaceOrAdd(name: "date", value: date.text)
        refused.crossOrigin?.add(to: &head.headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if !refused.isHead, case .bytes(let bytes) = response.body {
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: bytes)))), promise: nil)
        }
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolated().whenComplete { _ in self.linger(context) }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: written)
    }

    /// Closes the output, and the connection after the client has had time to read.
    private func linger(_ context: ChannelHandlerContext) {
        reading = .discarding
        guard context.channel.isActive, closeTimer == nil else { return }
        context.close(mode: .output, promise: nil)
        waitToClose(context, extensions: Self.lingerExtensionsMax)
        context.read()
    }

    private func waitToClose(_ context: ChannelHandlerContext, extensions: Int) {
        hasReceivedData = false
        closeTimer = context.eventLoop.assumeIsolated().scheduleTask(in: Self.lingerTime) {
            guard self.hasReceivedData, extensions > 0 else { return context.close(promise: nil) }
            self.waitToClose(context, extensions: extensions - 1)
        }
    }
}

/// A request that became unreadable after its head: the client's fault.
struct UnreadableRequest: Error {
    let problem: HTTPProblem
}

extension HTTPResponseStatus {
    fileprivate var isInformational: Bool { (100..<200).contains(code) }
}
