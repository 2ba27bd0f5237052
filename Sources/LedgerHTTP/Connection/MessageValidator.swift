internal import HTTPTypes
internal import HummingbirdCore
internal import LedgerWire
internal import NIOCore
internal import NIOHTTP1
internal import NIOHTTPTypesHTTP1

/// Holds every connection to the rules of HTTP/1.1: refuses what breaks them as problem+json, ignores wishes for another
/// protocol, answers HTTP/1.0 as its clients expect, and closes a connection after the last response.
///
/// It stands next to the parser and knows which requests are unanswered, so a refusal is sent in its turn.
final class MessageValidator: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    /// How long a client whose body is not wanted has to read its response. Closing at once would reset the connection
    /// under the bytes that are still on their way, and the response would be lost with them.
    private static let lingering = TimeAmount.seconds(2)
    /// How many times it gets as long again while it goes on sending: most read a response only once they have sent all.
    private static let lingeringRounds = 10

    /// A request that was handed on and has no complete response.
    private struct OpenRequest {
        var isOld: Bool
        var isHead: Bool
        var keepsAlive: Bool
    }

    /// What is being read.
    ///
    /// - between: nothing, or a head that is not complete. Can become message or nothing.
    /// - message: what follows a head that was handed on. Can become between or nothing.
    /// - nothing: what arrives is dropped, because no request is answered any more.
    private enum Reading {
        case between
        case message(isUpgrade: Bool)
        case nothing
    }

    private let settings: ServerSettings
    private let metrics: HTTPMetrics
    private let date: HTTPDate
    private let upgrade: UpgradeSignal
    private let connection: ConnectionRegistry.Connection
    private var reading = Reading.between
    private var openRequests = CircularBuffer<OpenRequest>(initialCapacity: 1)
    /// A refusal that waits for the responses before it.
    private var refusal: (problem: HTTPProblem, isHead: Bool)?
    /// Whether the response under way is the last one.
    private var isLast = false
    private var closing: Scheduled<Void>?
    /// Whether something has arrived since it was last decided to wait.
    private var hasArrived = false

    init(
        settings: ServerSettings, metrics: HTTPMetrics, date: HTTPDate, upgrade: UpgradeSignal,
        connection: ConnectionRegistry.Connection
    ) {
        self.settings = settings
        self.metrics = metrics
        self.date = date
        self.upgrade = upgrade
        self.connection = connection
    }

    func channelActive(context: ChannelHandlerContext) {
        context.fireChannelActive()
        guard connection.isWelcome else {
            return refuse(
                HTTPProblem(
                    .serviceUnavailable, "Too many connections",
                    "This server serves as many connections as it can. Try again later.",
                    headers: HTTPFields(retryAfter: .seconds(1))), isHead: false, context)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        closing?.cancel()
        connection.closed()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        closing?.cancel()
    }

    // MARK: Requests

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch (unwrapInboundIn(data), reading) {
        case (_, .nothing): hasArrived = true
        case (.head(let head), _): take(head, context)
        case (.body, _): context.fireChannelRead(data)
        case (.end, .message(let isUpgrade)):
            if isUpgrade { upgrade.hasEnded = true }
            reading = isLast || openRequests.last?.keepsAlive == false ? .nothing : .between
            context.fireChannelRead(data)
        case (.end, .between): context.fireChannelRead(data)
        }
    }

    private func take(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        // After the last response it would be recorded and not answered.
        guard !isLast else { return reading = .nothing }
        let rules = head.rules(bodyBytesMax: settings.bodyBytesMax)
        if let problem = rules.problem { return refuse(problem, isHead: head.method == .HEAD, context) }
        var head = head
        if rules.isUpgrade || !rules.keepsAlive || head.version != .http1_1 {
            for name in ["connection", "upgrade", "http2-settings", "keep-alive"] { head.headers.remove(name: name) }
            if !rules.keepsAlive { head.headers.add(name: "connection", value: "close") }
        }
        openRequests.append(
            OpenRequest(isOld: head.version != .http1_1, isHead: head.method == .HEAD, keepsAlive: rules.keepsAlive))
        connection.isBusy = true
        reading = .message(isUpgrade: rules.isUpgrade)
        context.fireChannelRead(wrapInboundOut(.head(head)))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let problem = HTTPProblem(parsing: error) else { return context.fireErrorCaught(error) }
        switch reading {
        // The decoder decodes nothing after an error: it reports all that arrives as another one.
        case .nothing: hasArrived = true
        case .between where isLast: reading = .nothing
        case .between: refuse(problem, isHead: false, context)
        case .message:
            reading = .nothing
            if openRequests.isEmpty {
                // It was answered before it was read whole.
                context.close(promise: nil)
            } else {
                openRequests[openRequests.index(before: openRequests.endIndex)].keepsAlive = false
                context.fireErrorCaught(BrokenRequest(problem: problem))
            }
        }
    }

    /// While nothing is wanted, what arrives is read and dropped, so that the client gets to read its response.
    func channelReadComplete(context: ChannelHandlerContext) {
        context.fireChannelReadComplete()
        if case .nothing = reading { context.read() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event as? ChannelEvent == .inputClosed {
            if closing != nil { return context.close(promise: nil) }
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
            encoded(&head, for: request)
            context.write(wrapOutboundOut(.head(head)), promise: promise)
        case .body:
            // HEAD is answered as GET is, without the body.
            if openRequests.first?.isHead == true { promise?.succeed() } else { context.write(data, promise: promise) }
        case .end:
            if !openRequests.isEmpty { openRequests.removeFirst() }
            if openRequests.isEmpty { connection.isBusy = false }
            guard isLast else {
                context.write(data, promise: promise)
                if openRequests.isEmpty { sendRefusal(context) }
                return
            }
            let written = promise ?? context.eventLoop.makePromise()
            written.futureResult.assumeIsolated().whenComplete { _ in self.linger(context) }
            context.writeAndFlush(data, promise: written)
        }
    }

    private func encoded(_ head: inout HTTPResponseHead, for request: OpenRequest) {
        var keepsAlive = request.keepsAlive && !head.headers[canonicalForm: "connection"].contains("close")
        if request.isOld {
            // Its client knows no chunks: what has no length ends with the connection.
            head.version = .http1_0
            if !head.headers.contains(name: "content-length"), head.status.mayHaveResponseBody { keepsAlive = false }
            if keepsAlive { head.headers.replaceOrAdd(name: "connection", value: "keep-alive") }
        }
        if !keepsAlive {
            head.headers.replaceOrAdd(name: "connection", value: "close")
            isLast = true
        }
    }

    // MARK: Refusals

    private func refuse(_ problem: HTTPProblem, isHead: Bool, _ context: ChannelHandlerContext) {
        reading = .nothing
        refusal = (problem, isHead)
        if openRequests.isEmpty { sendRefusal(context) }
    }

    private func sendRefusal(_ context: ChannelHandlerContext) {
        guard let (problem, isHead) = refusal else { return }
        refusal = nil
        metrics.refused(status: problem.problem.status)
        let response = problem.answer.response
        var head = HTTPResponseHead(response.head)
        head.headers.replaceOrAdd(name: "connection", value: "close")
        head.headers.replaceOrAdd(name: "date", value: date.text)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if !isHead, case .bytes(let bytes) = problem.answer.body {
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: bytes)))), promise: nil)
        }
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolated().whenComplete { _ in self.linger(context) }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: written)
    }

    /// Says that nothing more comes, and closes when the client has had time to read it.
    private func linger(_ context: ChannelHandlerContext) {
        reading = .nothing
        guard context.channel.isActive, closing == nil else { return }
        context.close(mode: .output, promise: nil)
        wait(context, rounds: Self.lingeringRounds)
        context.read()
    }

    private func wait(_ context: ChannelHandlerContext, rounds: Int) {
        hasArrived = false
        closing = context.eventLoop.assumeIsolated().scheduleTask(in: Self.lingering) {
            guard self.hasArrived, rounds > 0 else { return context.close(promise: nil) }
            self.wait(context, rounds: rounds - 1)
        }
    }
}

/// The rest of a request that cannot be read, and why: the client's fault.
struct BrokenRequest: Error {
    let problem: HTTPProblem
}

extension HTTPResponseStatus {
    fileprivate var isInformational: Bool { (100..<200).contains(code) }
}
