internal import HTTPTypes
internal import Ledger
internal import NIOCore
internal import NIOHTTPTypes

/// Serves those who watch one job, on the event loop of their connection and without a task.
///
/// Watchers are many, last long and mostly wait, so what counts is the cache of one that waits: a task with its request,
/// its writer and the task that looks out for the client's leaving receive more than twice as much as all that is here.
/// Whatever is not plainly such a request, or cannot be granted, is handed on unchanged to the general route, which tells
/// why.
///
/// It stands behind Hummingbird's handler of a connection's state, for the reasons that ``FastPathHandler`` gives.
final class WatchFastPathHandler: ChannelDuplexHandler, RemovableChannelHandler, PipelinedInputBuffering {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    /// What the connection is doing here.
    ///
    /// - passing: so many requests were handed on and are not answered yet. Can become heading where there are none.
    /// - heading: the head of a request to watch is there, and its end is not. Can become joining or passing.
    /// - joining: the broadcaster has been asked. Can become streaming or passing.
    /// - streaming: snapshots are sent as they come. Can become ended.
    /// - ended: nothing more is sent, and what comes in is not revalidated at; the connection is closed.
    private enum State {
        case passing(requests: Int)
        case heading(HTTPRequest, WatchRequest)
        case joining(HTTPRequest, WatchRequest)
        case streaming(WatchSubscription, ServerSentEvents)
        case ended
    }

    private let broadcaster: WatchBroadcaster
    private let metrics: HTTPMetrics
    private let date: HTTPDate
    private var state = State.passing(requests: 0)
    /// What came in while the broadcaster was asked.
    var pipelined = PipelinedInput()
    private var wantsReading = false
    private var context: ChannelHandlerContext?

    init(broadcaster: WatchBroadcaster, metrics: HTTPMetrics, date: HTTPDate) {
        self.broadcaster = broadcaster
        self.metrics = metrics
        self.date = date
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        leave()
    }

    // MARK: Inbound

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        receive(unwrapInboundIn(data), context)
    }

    func receive(_ part: HTTPRequestPart, _ context: ChannelHandlerContext) {
        switch (state, part) {
        case (.joining, _): pipelined.buffer(.part(part))
        case (.streaming, _), (.ended, _): break
        case (.passing(0), .head(let head)):
            if let request = WatchRequest(head) {
                state = .heading(head, request)
            } else {
                state = .passing(requests: 1)
                context.fireChannelRead(wrapInboundOut(part))
            }
        case (.passing(let requests), .head):
            state = .passing(requests: requests + 1)
            context.fireChannelRead(wrapInboundOut(part))
        case (.passing, _):
            context.fireChannelRead(wrapInboundOut(part))
        case (.heading(let head, let request), .end):
            subscribe(head, request, context)
        case (.heading(let head, _), _):
            // A body that nobody has announced.
            state = .passing(requests: 1)
            context.fireChannelRead(wrapInboundOut(.head(head)))
            context.fireChannelRead(wrapInboundOut(part))
        }
    }

    // MARK: Watching

    private func subscribe(_ head: HTTPRequest, _ request: WatchRequest, _ context: ChannelHandlerContext) {
        state = .joining(head, request)
        let started = ContinuousClock.now
        let loop = context.eventLoop
        let me = NIOLoopBound(self, eventLoop: loop)
        broadcaster.subscribe(request.job, from: request.known) { subscription in
            loop.execute { me.value.subscribed(subscription, started) }
        }
    }

    /// - Parameter subscription: Nil where he may not watch, or there is no such job.
    private func subscribed(_ subscription: WatchSubscription?, _ started: ContinuousClock.Instant) {
        // Who has left meanwhile lets go of the subscription.
        guard let context, context.channel.isActive, case .joining(let head, let request) = state else { return }
        guard let subscription else {
            state = .passing(requests: 1)
            context.fireChannelRead(wrapInboundOut(.head(head)))
            context.fireChannelRead(wrapInboundOut(.end(nil)))
            context.fireChannelReadComplete()
            return resumePipelined(context)
        }
        let hasLeft = pipelined.hasEnd
        pipelined = PipelinedInput()
        if hasLeft { return context.close(promise: nil) }
        metrics.began()
        metrics.ended(
            route: "/v1/jobs/{job}/watch", method: "GET", status: 200, seconds: started.duration(to: .now))
        state = .streaming(subscription, ServerSentEvents(job: request.job, known: request.known))
        var response = HTTPResponse(status: .ok, headerFields: WatchResponse.headers)
        response.headerFields[.xContentTypeOptions] = "nosniff"
        response.headerFields[.date] = date.text
        context.write(wrapOutboundOut(.head(response)), promise: nil)
        write([ServerSentEvents.greeting], context)
        send(context)
        readIfWanted(context)
    }

    /// Sends what there is, if the client takes it; and comes back when there is more.
    private func send(_ context: ChannelHandlerContext) {
        while case .streaming(let subscription, var text) = state, context.channel.isWritable {
            let loop = context.eventLoop
            let me = NIOLoopBound(self, eventLoop: loop)
            let found = subscription.buffer.take(orCall: {
                loop.execute { if let context = me.value.context { me.value.send(context) } }
            })
            switch found {
            case .nothing: return
            case .closed: return finish(context)
            case .contents(let contents):
                let (parts, isEnd) = text.parts(of: contents)
                state = .streaming(subscription, text)
                write(parts, context)
                if isEnd { return finish(context) }
            }
        }
    }

    private func write(_ parts: [ByteBuffer], _ context: ChannelHandlerContext) {
        for part in parts { context.write(wrapOutboundOut(.body(part)), promise: nil) }
        context.flush()
    }

    /// Ends the answer, and with it the connection, as the general route does.
    private func finish(_ context: ChannelHandlerContext) {
        leave()
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolated().whenComplete { _ in context.close(promise: nil) }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: written)
    }

    /// Lets go of the subscription, and with it of the place.
    private func leave() {
        if case .streaming(let subscription, _) = state { subscription.buffer.close() }
        state = .ended
    }

    /// Takes up what had to wait.
    private func resumePipelined(_ context: ChannelHandlerContext) {
        replayPipelined(context)
        readIfWanted(context)
    }

    // MARK: The rest of the channel

    func read(context: ChannelHandlerContext) {
        if !pipelined.isFull { context.read() } else { wantsReading = true }
    }

    private func readIfWanted(_ context: ChannelHandlerContext) {
        guard wantsReading, !pipelined.isFull else { return }
        wantsReading = false
        context.read()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        send(context)
        context.fireChannelWritabilityChanged()
    }

    /// A client that says that it sends nothing more has left: it would not hear of the job's end otherwise.
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch (state, event as? ChannelEvent) {
        case (.streaming, .inputClosed): context.close(promise: nil)
        case (.joining, _): pipelined.buffer(.event(event))
        default: context.fireUserInboundEventTriggered(event)
        }
    }

    /// There is no answer to what comes in on a stream that would not break it.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch state {
        case .joining: pipelined.buffer(.error(error))
        case .streaming, .ended: context.close(promise: nil)
        case .heading(let head, _):
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

/// What a request to watch a job says, where it is plainly one.
struct WatchRequest {
    let job: JobID
    /// The snapshot that the client has already.
    let known: StreamPosition?

    init?(_ head: HTTPRequest) {
        guard head.method == .get, let path = FastPathURI(head), path.end.elementsEqual("/watch".utf8),
            head.headerFields.allSatisfy({ $0.name != .contentLength && $0.isPlain }), let job = path.job
        else { return nil }
        self.job = job
        // An id that is none of ours says nothing of what the client has, so it gets what there is.
        known = head.headerFields[.lastEventID].flatMap { StreamPosition($0) }
    }
}
