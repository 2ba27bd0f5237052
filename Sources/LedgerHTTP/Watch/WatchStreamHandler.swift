internal import HTTPTypes
internal import Ledger
internal import LedgerStore
internal import NIOCore
internal import NIOHTTP1
internal import NIOHTTPTypesHTTP1
internal import Tracing

/// A channel handler that serves watchers on the event loop of their connection.
///
/// Watchers are numerous, stay for long and mostly wait, so the memory of a waiting one matters: a task with its
/// request, its writer and a second task that detects a disconnected client takes more than twice as much as this
/// handler. A request that is invalid or cannot be granted is forwarded unchanged to the router, where ``WatchRoutes``
/// responds.
///
/// The handler follows ``MessageValidator`` in the pipeline, like ``FastPathHandler``.
final class WatchStreamHandler: ChannelDuplexHandler, RemovableChannelHandler, PipelinedInputBuffering {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    /// The state of the connection.
    ///
    /// - passing: this number of forwarded requests has no complete response yet. At 0 it can become receiving.
    /// - receiving: the head of a request to watch has arrived, its end has not. Becomes subscribing or passing.
    /// - subscribing: the broadcaster has been asked for a subscription. Can become streaming or passing.
    /// - streaming: snapshots are sent when they change. Can become ended.
    /// - ended: nothing more is sent and all input is ignored; the connection is closed.
    private enum State {
        case passing(requests: Int)
        case receiving(HTTPRequestHead, WatchRequest)
        case subscribing(HTTPRequestHead, WatchRequest)
        case streaming(WatchSubscription, ServerSentEvents)
        case ended
    }

    private let broadcaster: WatchBroadcaster
    private let control: AccessControl
    private let metrics: HTTPMetrics
    private let date: HTTPDate
    private let tracer: (any Tracer)?
    private var state = State.passing(requests: 0)
    /// Input that has arrived in the state `subscribing`.
    var pipelined = PipelinedInput()
    private var isReadPending = false
    private var context: ChannelHandlerContext?
    /// The subscription that the broadcaster has not granted yet.
    private var pending: PendingWatch?
    /// The beginning of the stream's span; nil if there is none.
    private var spanStart: DefaultTracerClock.Timestamp?
    /// The access of the stream's client.
    private var caller = Access.everything

    init(
        broadcaster: WatchBroadcaster, control: AccessControl, metrics: HTTPMetrics, date: HTTPDate,
        tracer: (any Tracer)?
    ) {
        self.tracer = tracer
        self.broadcaster = broadcaster
        self.control = control
        self.metrics = metrics
        self.date = date
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        if let pending { broadcaster.withdraw(pending) }
        unsubscribe()
    }

    // MARK: Requests

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        receive(unwrapInboundIn(data), context)
    }

    func receive(_ part: HTTPServerRequestPart, _ context: ChannelHandlerContext) {
        switch (state, part) {
        case (.subscribing, _): pipelined.buffer(.part(part))
        case (.streaming, _), (.ended, _): break
        case (.passing(0), .head(let head)):
            if let request = watchRequest(head) {
                state = .receiving(head, request)
            } else {
                state = .passing(requests: 1)
                context.fireChannelRead(wrapInboundOut(part))
            }
        case (.passing(let requests), .head):
            state = .passing(requests: requests + 1)
            context.fireChannelRead(wrapInboundOut(part))
        case (.passing, _):
            context.fireChannelRead(wrapInboundOut(part))
        case (.receiving(let head, let request), .end):
            subscribe(head, request, context)
        case (.receiving, .body):
            // The body of a GET has no meaning.
            break
        case (.receiving(let head, _), .head):
            // The codec does not let this happen.
            state = .passing(requests: 1)
            context.fireChannelRead(wrapInboundOut(.head(head)))
            context.fireChannelRead(wrapInboundOut(part))
        }
    }

    /// Parses a request to watch; nil if the router responds to the request.
    private func watchRequest(_ head: HTTPRequestHead) -> WatchRequest? {
        guard head.method == .GET else { return nil }
        do throws(HTTPProblem) {
            guard
                let request = try WatchRequest.read(
                    target: head.uri, lastEventID: head.headers.first(name: "last-event-id"))
            else { return nil }
            let fields = HTTPFields(head.headers, splitCookie: false)
            return try request.confined(
                to: control.access(to: request.access, method: .get, fields, job: request.job).get())
        } catch {
            return nil
        }
    }

    private func subscribe(_ head: HTTPRequestHead, _ request: WatchRequest, _ context: ChannelHandlerContext) {
        state = .subscribing(head, request)
        let started = ContinuousClock.now
        spanStart = tracer == nil ? nil : DefaultTracerClock.now
        let loop = context.eventLoop
        let me = NIOLoopBound(self, eventLoop: loop)
        guard let job = request.job, control.includes(job, request.caller.confinement) != true else {
            return subscribe(request, since: started, on: loop)
        }
        control.find(job, request.caller.confinement) { isIncluded in
            loop.execute {
                guard me.value.context != nil else { return }
                if isIncluded {
                    me.value.subscribe(request, since: started, on: loop)
                } else {
                    me.value.begin(nil, started)
                }
            }
        }
    }

    private func subscribe(
        _ request: WatchRequest, since started: ContinuousClock.Instant, on loop: any EventLoop
    ) {
        let me = NIOLoopBound(self, eventLoop: loop)
        pending = broadcaster.subscribe(request) { subscription in
            loop.execute { me.value.begin(subscription, started) }
        }
    }

    /// Begins the stream, or forwards the request if there is no subscription.
    private func begin(_ subscription: WatchSubscription?, _ started: ContinuousClock.Instant) {
        pending = nil
        // If the client has disconnected, the subscription ends by being released.
        guard let context, context.channel.isActive, case .subscribing(let head, let request) = state else { return }
        guard let subscription else {
            state = .passing(requests: 1)
            context.fireChannelRead(wrapInboundOut(.head(head)))
            context.fireChannelRead(wrapInboundOut(.end(nil)))
            context.fireChannelReadComplete()
            replayPipelined(context)
            return readIfPending(context)
        }
        let hasEnd = pipelined.hasEnd
        pipelined = PipelinedInput()
        if hasEnd { return context.close(promise: nil) }
        metrics.began()
        metrics.ended(
            route: request.route, method: "GET", status: 200, seconds: started.duration(to: .now), isFast: true)
        if let tracer, let spanStart {
            // The span ends with the head of the response; the stream may last for days. If the request is forwarded
            // instead, it has the span of a routed request.
            RequestSpan(tracer, head.method.rawValue, head.headers, at: spanStart)
                .end(route: request.route, job: request.job, status: 200)
        }
        caller = request.caller
        state = .streaming(subscription, ServerSentEvents(job: request.job, position: request.position))
        var response = HTTPResponse(status: .ok, headerFields: ServerSentEvents.headers)
        response.headerFields.addDefaults()
        response.headerFields[.date] = date.text
        context.write(wrapOutboundOut(.head(HTTPResponseHead(response))), promise: nil)
        write([ServerSentEvents.greeting], context)
        send(context)
        readIfPending(context)
    }

    // MARK: Streaming

    /// Sends the contents of the buffer while the client receives them.
    ///
    /// It is called again at the next change.
    private func send(_ context: ChannelHandlerContext) {
        while case .streaming(let subscription, var events) = state, context.channel.isWritable {
            let loop = context.eventLoop
            let me = NIOLoopBound(self, eventLoop: loop)
            let taken = subscription.buffer.take(orCall: {
                loop.execute { if let context = me.value.context { me.value.send(context) } }
            })
            switch taken {
            case .nothing: return
            case .closed: return finish(context)
            // The token may have been revoked, or have expired, since the stream began.
            case .contents where !control.isValid(caller): return finish(context)
            case .contents(let contents):
                let (parts, isEnd) = events.parts(of: contents)
                state = .streaming(subscription, events)
                write(parts, context)
                if isEnd { return finish(context) }
            }
        }
    }

    private func write(_ parts: [ByteBuffer], _ context: ChannelHandlerContext) {
        for part in parts { context.write(wrapOutboundOut(.body(.byteBuffer(part))), promise: nil) }
        context.flush()
    }

    /// Ends the response and the connection.
    private func finish(_ context: ChannelHandlerContext) {
        unsubscribe()
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolated().whenComplete { _ in context.close(promise: nil) }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: written)
    }

    /// Releases the subscription.
    private func unsubscribe() {
        if case .streaming(let subscription, _) = state { subscription.buffer.close() }
        state = .ended
    }

    // MARK: The rest of the channel

    func read(context: ChannelHandlerContext) {
        if !pipelined.isFull { context.read() } else { isReadPending = true }
    }

    private func readIfPending(_ context: ChannelHandlerContext) {
        guard isReadPending, !pipelined.isFull else { return }
        isReadPending = false
        context.read()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        send(context)
        context.fireChannelWritabilityChanged()
    }

    /// Closes the connection of a stream if the client has closed its output.
    ///
    /// Otherwise a disconnected client would not be detected before the end of the job.
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch (state, event as? ChannelEvent) {
        case (.streaming, .inputClosed): context.close(promise: nil)
        case (.subscribing, _): pipelined.buffer(.event(event))
        default: context.fireUserInboundEventTriggered(event)
        }
    }

    /// Handles an error.
    ///
    /// A stream with unreadable input is closed, because an error response would corrupt the stream.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch state {
        case .subscribing: pipelined.buffer(.error(error))
        case .streaming, .ended: context.close(promise: nil)
        case .receiving(let head, _):
            state = .passing(requests: 1)
            context.fireChannelRead(wrapInboundOut(.head(head)))
            context.fireErrorCaught(error)
        case .passing: context.fireErrorCaught(error)
        }
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .end = unwrapOutboundIn(data), case .passing(let requests) = state {
            state = .passing(requests: max(0, requests - 1))
        }
        context.write(data, promise: promise)
    }
}
