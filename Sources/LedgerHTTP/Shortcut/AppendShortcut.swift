internal import HTTPTypes
internal import HummingbirdCore
internal import Ledger
internal import LedgerStore
internal import LedgerWire
internal import Logging
internal import NIOCore
internal import NIOHTTPTypes

/// Answers the requests that most are: a small JSON body appended to one job, without anything special about it.
///
/// Such a request is read, handed to the appender and answered on its event loop, without a task, a router or a stream
/// for its body, which together cost more than all the rest. Whatever is not plainly such a request, or is not right, is
/// handed on unchanged to the general route, which answers it; so there is one place where errors are made.
///
/// It stands behind Hummingbird's handler of a connection's state, which so counts its requests as it does all others:
/// idle connections are closed and those with a request under way are not, and a server that stops waits for it.
final class AppendShortcut: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    /// The longest body that is taken: reading it must not keep other connections waiting.
    static let bodyBytesMax = 16_384

    /// From so many parts of requests on that wait for an answer no more is read.
    private static let heldMax = 32

    /// What the connection is doing here.
    ///
    /// - passing: so many requests were handed on and are not answered yet. Can become collecting where there are none.
    /// - collecting: the body of a request comes in. Can become answering or passing.
    /// - answering: the appender has the events. Can become passing.
    private enum State {
        case passing(requests: Int)
        case collecting(HTTPRequest, job: JobID, body: [UInt8])
        case answering
    }

    private let service: any LedgerService
    private let metrics: HTTPMetrics
    private let date: HTTPDate
    private let logger: Logger
    private var state = State.passing(requests: 0)
    /// What came in while a request was being answered.
    private var held: [HTTPRequestPart] = []
    private var heldEvents: [Any] = []
    private var wantsReading = false
    private var context: ChannelHandlerContext?

    init(service: any LedgerService, metrics: HTTPMetrics, date: HTTPDate, logger: Logger) {
        self.service = service
        self.metrics = metrics
        self.date = date
        self.logger = logger
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
    }

    // MARK: Inbound

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        take(unwrapInboundIn(data), context)
    }

    private func take(_ part: HTTPRequestPart, _ context: ChannelHandlerContext) {
        switch (state, part) {
        case (.answering, _):
            held.append(part)
        case (.passing(0), .head(let head)):
            if let job = Self.job(head) {
                state = .collecting(head, job: job, body: [])
            } else {
                state = .passing(requests: 1)
                context.fireChannelRead(wrapInboundOut(part))
            }
        case (.passing(let requests), .head):
            state = .passing(requests: requests + 1)
            context.fireChannelRead(wrapInboundOut(part))
        case (.passing, _):
            context.fireChannelRead(wrapInboundOut(part))
        case (.collecting(let head, let job, var body), .body(let bytes)):
            // The old value is let go first, so that the bytes are appended in place.
            state = .answering
            body.append(contentsOf: bytes.readableBytesView)
            state = .collecting(head, job: job, body: body)
            if body.count > Self.bodyBytesMax { handOn(head, body, isWhole: false, context) }
        case (.collecting(let head, let job, let body), .end):
            guard let drafts = Self.drafts(body) else { return handOn(head, body, isWhole: true, context) }
            append(drafts, to: job, context)
        case (.collecting(let head, _, let body), .head):
            // The codec does not let this happen.
            handOn(head, body, isWhole: false, context)
            context.fireChannelRead(wrapInboundOut(part))
        }
    }

    /// The job that a request appends to, where it is one of those that are answered here.
    private static func job(_ head: HTTPRequest) -> JobID? {
        let prefix = "/v1/jobs/".utf8
        let suffix = "/events".utf8
        guard head.method == .post, let path = head.path?.utf8, path.count == prefix.count + 36 + suffix.count,
            path.starts(with: prefix), path.suffix(suffix.count).elementsEqual(suffix)
        else { return nil }
        var hasJSON = false
        for field in head.headerFields {
            switch field.name {
            case .contentType:
                guard field.value.utf8.elementsEqual("application/json".utf8) else { return nil }
                hasJSON = true
            case .contentLength:
                guard let length = Int(field.value), length <= bodyBytesMax else { return nil }
            case .contentEncoding, .expect, .connection, .transferEncoding, .upgrade: return nil
            default: continue
            }
        }
        guard hasJSON else { return nil }
        return JobID(String(decoding: path.dropFirst(prefix.count).prefix(36), as: UTF8.self))
    }

    /// The events of a body that is in order; nil for any other, whose errors the general route tells.
    private static func drafts(_ body: [UInt8]) -> [EventDraft]? {
        do throws(RequestError) { return try EventRequest.drafts(body, .json) } catch { return nil }
    }

    private func handOn(_ head: HTTPRequest, _ body: [UInt8], isWhole: Bool, _ context: ChannelHandlerContext) {
        state = .passing(requests: 1)
        context.fireChannelRead(wrapInboundOut(.head(head)))
        if !body.isEmpty { context.fireChannelRead(wrapInboundOut(.body(ByteBuffer(bytes: body)))) }
        if isWhole { context.fireChannelRead(wrapInboundOut(.end(nil))) }
        context.fireChannelReadComplete()
    }

    // MARK: Answering

    private func append(_ drafts: [EventDraft], to job: JobID, _ context: ChannelHandlerContext) {
        state = .answering
        metrics.began()
        let started = ContinuousClock.now
        let loop = context.eventLoop
        let me = NIOLoopBound(self, eventLoop: loop)
        service.append(drafts, to: job) { result in
            loop.execute { me.value.answer(result, started) }
        }
    }

    private func answer(_ result: Result<ClosedRange<Int64>, StoreError>, _ started: ContinuousClock.Instant) {
        let answer = Self.answer(result, logger)
        metrics.ended(
            route: "/v1/jobs/{job}/events", method: "POST", status: answer.status.code,
            seconds: started.duration(to: .now))
        guard let context else { return }
        var response = answer.response.head
        response.headerFields[.date] = date.text
        context.write(wrapOutboundOut(.head(response)), promise: nil)
        if case .bytes(let bytes) = answer.body {
            context.write(wrapOutboundOut(.body(ByteBuffer(bytes: bytes))), promise: nil)
        }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        state = .passing(requests: 0)
        goOn(context)
    }

    private static func answer(_ result: Result<ClosedRange<Int64>, StoreError>, _ logger: Logger) -> Answer {
        switch result {
        case .success(let range): return AppendRoutes.answer(range)
        case .failure(let error): return HTTPProblem.answer(error, logger)
        }
    }

    /// Takes up what had to wait for the answer.
    private func goOn(_ context: ChannelHandlerContext) {
        let parts = held
        held = []
        for part in parts { take(part, context) }
        if !parts.isEmpty { context.fireChannelReadComplete() }
        if case .answering = state { return }
        let events = heldEvents
        heldEvents = []
        for event in events { context.fireUserInboundEventTriggered(event) }
        readIfWanted(context)
    }

    // MARK: The rest of the channel

    /// Few clients send the next request before they have the answer to the last one; with those who do, no more is read
    /// than is held. And of a client that does not take its answers no more requests are read.
    func read(context: ChannelHandlerContext) {
        if mayRead(context) { context.read() } else { wantsReading = true }
    }

    private func mayRead(_ context: ChannelHandlerContext) -> Bool {
        switch state {
        case .answering: held.count < Self.heldMax && context.channel.isWritable
        case .collecting, .passing(0): context.channel.isWritable
        // The general route sees to this by itself.
        case .passing: true
        }
    }

    private func readIfWanted(_ context: ChannelHandlerContext) {
        guard wantsReading, mayRead(context) else { return }
        wantsReading = false
        context.read()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        readIfWanted(context)
        context.fireChannelWritabilityChanged()
    }

    /// The end of what a client sends, among others: whoever hears of it closes the connection, so it waits.
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .answering = state { heldEvents.append(event) } else { context.fireUserInboundEventTriggered(event) }
    }

    /// A body that does not arrive in time, among others: the general route tells the client.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if case .collecting(let head, _, let body) = state { handOn(head, body, isWhole: false, context) }
        context.fireErrorCaught(error)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .end = unwrapOutboundIn(data), case .passing(let requests) = state {
            state = .passing(requests: max(0, requests - 1))
        }
        context.write(data, promise: promise)
    }
}

/// Puts the shortcut behind Hummingbird's handler of a connection's state, which comes after those that we may give it.
final class AppendShortcutInstaller: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart

    private let make: () -> AppendShortcut

    init(_ make: @escaping () -> AppendShortcut) {
        self.make = make
    }

    func channelActive(context: ChannelHandlerContext) {
        let pipeline = context.pipeline.syncOperations
        do {
            let state = try pipeline.handler(type: HTTPConnectionStateHandler.self)
            try pipeline.addHandler(make(), position: .after(state))
        } catch {
            // Without it the general route answers everything.
        }
        context.fireChannelActive()
        pipeline.removeHandler(context: context, promise: nil)
    }
}
