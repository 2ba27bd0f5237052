internal import HTTPTypes
internal import HummingbirdCore
internal import Ledger
internal import LedgerWire
internal import Logging
internal import NIOCore
internal import NIOHTTP1
internal import NIOHTTPTypesHTTP1
internal import Tracing

/// A channel handler that responds to the requests of ``FastPathMatcher``.
///
/// It responds on the event loop of the connection. All other requests are forwarded unchanged to the router. Either
/// this handler responds to a request, or the router gets every part of it.
///
/// The handler follows ``MessageValidator`` in the pipeline, which therefore counts these requests as it does all
/// others.
final class FastPathHandler: ChannelDuplexHandler, RemovableChannelHandler, PipelinedInputBuffering {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    /// The state of the connection.
    ///
    /// - passing: this number of forwarded requests has no complete response yet. At 0 it can become collecting.
    /// - collecting: the body of a request is arriving. Can become responding or passing.
    /// - responding: the fast path has been called. Becomes passing.
    private enum State {
        case passing(requests: Int)
        case collecting(Collected)
        case responding
    }

    /// A request with a body that is arriving.
    private struct Collected {
        let head: HTTPRequestHead
        let row: FastPathMatcher.Row
        var request: FastPathRequest
        /// The memory of the body; nil if there is none.
        let share: BodyBudget.Share?
    }

    /// A request that has no response yet.
    private struct Current {
        let number: Int
        let collected: Collected
        let deadline: NIODeadline
        /// The span of the request; nil without a backend for spans.
        let span: RequestSpan?
        let started = ContinuousClock.now

        var row: FastPathMatcher.Row { collected.row }
    }

    private let matcher: FastPathMatcher
    private let control: AccessControl
    private let budget: BodyBudget
    private let metrics: HTTPMetrics
    private let date: HTTPDate
    private let logger: Logger
    private let tracer: (any Tracer)?
    /// The handler that writes responses in the wire format.
    private let validator: MessageValidator
    private var state = State.passing(requests: 0)
    var pipelined = PipelinedInput()
    private var isReadPending = false
    private var context: ChannelHandlerContext?
    private var current: Current?
    /// The access of the connection's earlier requests.
    private var accessMemory: AccessControl.Memory?
    /// The number of the last request, which identifies late responses.
    private var lastNumber = 0
    /// The timer that checks the deadline of the current request.
    ///
    /// One timer serves many requests, because a timer for each would cost a tenth of a request.
    private var timer: Scheduled<Void>?

    init(
        matcher: FastPathMatcher, control: AccessControl, budget: BodyBudget, metrics: HTTPMetrics, date: HTTPDate,
        validator: MessageValidator, logger: Logger, tracer: (any Tracer)?
    ) {
        self.matcher = matcher
        self.control = control
        self.budget = budget
        self.metrics = metrics
        self.date = date
        self.validator = validator
        self.logger = logger
        self.tracer = tracer
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        timer?.cancel()
    }

    // MARK: Requests

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        receive(unwrapInboundIn(data), context)
    }

    func receive(_ part: HTTPServerRequestPart, _ context: ChannelHandlerContext) {
        switch (state, part) {
        case (.responding, _):
            pipelined.buffer(.part(part))
        case (.passing(0), .head(let head)):
            if let collected = begin(head) {
                state = .collecting(collected)
            } else {
                state = .passing(requests: 1)
                context.fireChannelRead(wrapInboundOut(part))
            }
        case (.passing(let requests), .head):
            state = .passing(requests: requests + 1)
            context.fireChannelRead(wrapInboundOut(part))
        case (.passing, _):
            context.fireChannelRead(wrapInboundOut(part))
        case (.collecting(var collected), .body(let bytes)):
            // Any other state releases the old value, so that the bytes are appended in place.
            state = .responding
            collected.request.body.append(contentsOf: bytes.readableBytesView)
            state = .collecting(collected)
            // The budget was reserved for the announced length. A body with more than the limit takes the routed path.
            if collected.request.body.count > collected.row.fastPath.bodyBytesMax { forward(collected, context) }
        case (.collecting(let collected), .end):
            respond(to: collected, context)
        case (.collecting(let collected), .head):
            // The codec does not let this happen.
            forward(collected, context)
            context.fireChannelRead(wrapInboundOut(part))
        }
    }

    /// Begins to collect a request; nil if it takes the routed path.
    ///
    /// The routed path also refuses a request that the caller may not make, or if there is no memory for its body.
    private func begin(_ head: HTTPRequestHead) -> Collected? {
        guard var match = matcher.match(head), let access = access(head, match) else { return nil }
        match.request.access = access
        guard match.row.fastPath.bodyBytesMax > 0 else {
            return Collected(head: head, row: match.row, request: match.request, share: nil)
        }
        guard let share = budget.reserve(match.bodyLength) else { return nil }
        return Collected(head: head, row: match.row, request: match.request, share: share)
    }

    /// Returns the caller's access; nil if it may not include the request.
    private func access(_ head: HTTPRequestHead, _ match: FastPathMatcher.Match) -> Access? {
        guard let access = control.access(to: match.row.route.access, head, match.request, &accessMemory),
            control.includes(match.request.job, access.confinement) == true
        else { return nil }
        return access
    }

    /// Forwards a request that has not arrived completely.
    private func forward(_ collected: Collected, _ context: ChannelHandlerContext) {
        state = .passing(requests: 1)
        context.fireChannelRead(wrapInboundOut(.head(collected.head)))
        if !collected.request.body.isEmpty {
            context.fireChannelRead(wrapInboundOut(.body(ByteBuffer(bytes: collected.request.body))))
        }
        context.fireChannelReadComplete()
    }

    private func respond(to collected: Collected, _ context: ChannelHandlerContext) {
        state = .responding
        metrics.began()
        lastNumber += 1
        let number = lastNumber
        let span = tracer.map { RequestSpan($0, collected.head.method.rawValue, collected.head.headers) }
        current = Current(
            number: number, collected: collected, deadline: .now() + TimeAmount(collected.row.limit), span: span)
        if timer == nil { scheduleDeadlineCheck(context.eventLoop) }
        if let span {
            ServiceContext.withValue(span.context) { call(collected, number, context.eventLoop) }
        } else {
            call(collected, number, context.eventLoop)
        }
    }

    /// Calls the fast path of a request.
    private func call(_ collected: Collected, _ number: Int, _ loop: any EventLoop) {
        let me = NIOLoopBound(self, eventLoop: loop)
        collected.row.fastPath.respond(collected.request, loop) { result in
            guard me.value.current?.number == number else { return }
            let response: LedgerResponse
            switch result {
            case .success(let made): response = made
            case .failure(let error): response = me.value.response(to: collected, failingWith: error)
            }
            guard collected.request.acceptsGzip, response.isSlowToCompress else {
                return me.value.send(collected.request.acceptsGzip ? response.compressed() : response)
            }
            Task(name: "gzip") {
                let compressed = await ComputeExecutor.run { response.compressed() }
                loop.execute { if me.value.current?.number == number { me.value.send(compressed) } }
            }
        }
    }

    // MARK: Responses

    /// Schedules the next check of the deadline.
    ///
    /// It happens at the deadline of the current request, or after the shortest limit of all rows.
    private func scheduleDeadlineCheck(_ loop: any EventLoop) {
        guard let current else { return }
        let shortest = NIODeadline.now() + TimeAmount(matcher.shortestLimit)
        timer = loop.assumeIsolated().scheduleTask(deadline: min(current.deadline, shortest)) {
            self.checkDeadline(loop)
        }
    }

    private func checkDeadline(_ loop: any EventLoop) {
        timer = nil
        guard let current else { return }
        if NIODeadline.now() >= current.deadline {
            let problem = HTTPProblem.timedOut(isRead: current.row.route.isRead, current.row.limit)
            send(response(to: current.collected, failingWith: problem))
        } else {
            scheduleDeadlineCheck(loop)
        }
    }

    /// Returns the response to a request that has failed with an error.
    private func response(to request: Collected, failingWith error: any Error) -> LedgerResponse {
        let identity = RequestIdentity(request.head.headers)
        return HTTPProblem.problem(error, isRead: request.row.route.isRead, of: identity, logger).response(to: identity)
    }

    private func send(_ response: LedgerResponse) {
        guard let request = current else { return }
        current = nil
        metrics.ended(
            route: request.row.route.path, method: request.row.route.method.rawValue, status: response.status.code,
            seconds: request.started.duration(to: .now), isFast: true)
        request.span?.end(
            route: request.row.route.path, job: request.collected.request.job, status: response.status.code)
        guard let context else { return }
        if validator.acceptsEncodedResponse, let encoded = response.encoded(date: date.text) {
            validator.accept(encoded)
        } else {
            var head = response.head
            head.headerFields.append(HTTPField(name: .date, value: date.text))
            context.write(wrapOutboundOut(.head(HTTPResponseHead(head))), promise: nil)
            if case .bytes(let bytes) = response.body {
                context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: bytes)))), promise: nil)
            }
        }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        state = .passing(requests: 0)
        replayPipelined(context)
        readIfPending(context)
    }

    // MARK: The rest of the channel

    /// Reads on, unless the client does not receive its responses.
    func read(context: ChannelHandlerContext) {
        if mayRead(context) { context.read() } else { isReadPending = true }
    }

    private func mayRead(_ context: ChannelHandlerContext) -> Bool {
        switch state {
        case .responding: !pipelined.isFull && context.channel.isWritable
        case .collecting, .passing(0): context.channel.isWritable
        // The routed path does this itself.
        case .passing: true
        }
    }

    private func readIfPending(_ context: ChannelHandlerContext) {
        guard isReadPending, mayRead(context) else { return }
        isReadPending = false
        context.read()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        readIfPending(context)
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .responding = state {
            pipelined.buffer(.event(event))
        } else {
            context.fireUserInboundEventTriggered(event)
        }
    }

    /// Forwards an error.
    ///
    /// An error of the next request is buffered until the current response is sent. A request with a failed body is
    /// forwarded first.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch state {
        case .responding: return pipelined.buffer(.error(error))
        case .collecting(let collected): forward(collected, context)
        case .passing: break
        }
        context.fireErrorCaught(error)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .end = unwrapOutboundIn(data), case .passing(let requests) = state {
            state = .passing(requests: max(0, requests - 1))
        }
        context.write(data, promise: promise)
    }
}
