internal import HTTPTypes
internal import HummingbirdCore
internal import Ledger
internal import LedgerStore
internal import LedgerWire
internal import Logging
internal import NIOCore
internal import NIOHTTPTypes

/// Answers the requests that most are: a small JSON body appended to one job, and the snapshot of a job, without anything
/// special about them (``FastPathRequest``).
///
/// Such a request is read, handed to the ledger and answered on its event loop, without a task, a router or a stream
/// for its body, which together cost more than all the rest. Whatever is not plainly such a request, or is not right, is
/// handed on unchanged to the general route, which answers it; so there is one place where errors are made.
///
/// It stands behind Hummingbird's handler of a connection's state, which so counts its requests as it does all others:
/// idle connections are closed and those with a request under way are not, and a server that stops waits for it.
final class FastPathHandler: ChannelDuplexHandler, RemovableChannelHandler, PipelinedInputBuffering {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    /// What the connection is doing here.
    ///
    /// - passing: so many requests were handed on and are not answered yet. Can become collecting where there are none.
    /// - collecting: the body of a request comes in. Can become answering or passing.
    /// - answering: the ledger has been asked. Can become passing.
    private enum State {
        case passing(requests: Int)
        case collecting(HTTPRequest, FastPathRequest, body: [UInt8], BodyBudget.Share?)
        case answering
    }

    private let service: any LedgerService
    private let settings: ServerSettings
    private let cache: ResponseCache
    private let budget: BodyBudget
    private let metrics: HTTPMetrics
    private let date: HTTPDate
    private let logger: Logger
    private var state = State.passing(requests: 0)
    var pipelined = PipelinedInput()
    private var wantsReading = false
    private var context: ChannelHandlerContext?
    /// The request that is being answered; nil where none is.
    private var current: Current?
    /// Counts requests, so that a result that comes after its time is known as such.
    private var lastNumber = 0
    /// Looks whether the current request is late. One for many requests: a timer for each would cost a tenth of what the
    /// request costs.
    private var timer: Scheduled<Void>?

    /// A request that is being answered.
    private struct Current {
        let number: Int
        let method: String
        let route: String
        let isRead: Bool
        let limit: Duration
        let deadline: NIODeadline
        let started = ContinuousClock.now
    }

    init(
        service: any LedgerService, settings: ServerSettings, cache: ResponseCache, budget: BodyBudget,
        metrics: HTTPMetrics, date: HTTPDate, logger: Logger
    ) {
        self.service = service
        self.settings = settings
        self.cache = cache
        self.budget = budget
        self.metrics = metrics
        self.date = date
        self.logger = logger
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        timer?.cancel()
    }

    // MARK: Inbound

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        receive(unwrapInboundIn(data), context)
    }

    func receive(_ part: HTTPRequestPart, _ context: ChannelHandlerContext) {
        switch (state, part) {
        case (.answering, _):
            pipelined.buffer(.part(part))
        case (.passing(0), .head(let head)):
            if let request = FastPathRequest(head), let budgetShare = budgetShare(of: request) {
                state = .collecting(head, request, body: [], budgetShare)
            } else {
                state = .passing(requests: 1)
                context.fireChannelRead(wrapInboundOut(part))
            }
        case (.passing(let requests), .head):
            state = .passing(requests: requests + 1)
            context.fireChannelRead(wrapInboundOut(part))
        case (.passing, _):
            context.fireChannelRead(wrapInboundOut(part))
        case (.collecting(let head, let request, var body, let budgetShare), .body(let bytes)):
            // The old value is let go first, so that the bytes are appended in place.
            state = .answering
            body.append(contentsOf: bytes.readableBytesView)
            state = .collecting(head, request, body: body, budgetShare)
            if body.count > FastPathRequest.bodyBytesMax { forward(head, body, isWhole: false, context) }
        case (.collecting(let head, let request, let body, _), .end):
            answer(request, head, body, context)
        case (.collecting(let head, _, let body, _), .head):
            // The codec does not let this happen.
            forward(head, body, isWhole: false, context)
            context.fireChannelRead(wrapInboundOut(part))
        }
    }

    /// Memory for the body of a request, of which there may be none left; the general route then says so. A snapshot has no
    /// body: its budgetShare is nil.
    private func budgetShare(of request: FastPathRequest) -> BodyBudget.Share?? {
        guard case .append(_, let length) = request else { return .some(nil) }
        return budget.take(length).map { .some($0) }
    }

    private func answer(
        _ request: FastPathRequest, _ head: HTTPRequest, _ body: [UInt8], _ context: ChannelHandlerContext
    ) {
        switch request {
        case .append(let job, _):
            guard let drafts = Self.drafts(body) else { return forward(head, body, isWhole: true, context) }
            append(drafts, to: job, context)
        case .snapshot(let job, let known, let route):
            guard body.isEmpty else { return forward(head, body, isWhole: true, context) }
            let number = begin("GET", route, isRead: true, context)
            let request = SnapshotRequest(number: number, job: job, known: known, head: head)
            // Where nothing could come of looking, the snapshot is read at once.
            if !known.isEmpty || cache.contains(job) { revalidate(request, context) } else { read(request, context) }
        }
    }

    /// The events of a body that is in order; nil for any other, whose errors the general route tells.
    private static func drafts(_ body: [UInt8]) -> [EventDraft]? {
        do throws(RequestError) { return try EventRequest.drafts(body, .json) } catch { return nil }
    }

    private func forward(_ head: HTTPRequest, _ body: [UInt8], isWhole: Bool, _ context: ChannelHandlerContext) {
        state = .passing(requests: 1)
        context.fireChannelRead(wrapInboundOut(.head(head)))
        if !body.isEmpty { context.fireChannelRead(wrapInboundOut(.body(ByteBuffer(bytes: body)))) }
        if isWhole { context.fireChannelRead(wrapInboundOut(.end(nil))) }
        context.fireChannelReadComplete()
    }

    // MARK: Appends

    private func append(_ drafts: [EventDraft], to job: JobID, _ context: ChannelHandlerContext) {
        let number = begin("POST", FastPathRequest.appendRoute, isRead: false, context)
        let loop = context.eventLoop
        let me = NIOLoopBound(self, eventLoop: loop)
        let logger = logger
        service.append(drafts, to: job) { result in
            loop.execute {
                if me.value.isCurrent(number) { me.value.send(Self.answer(result, logger)) }
            }
        }
    }

    private static func answer(_ result: Result<ClosedRange<Int64>, StoreError>, _ logger: Logger) -> LedgerResponse {
        switch result {
        case .success(let range): return AppendRoutes.answer(range)
        case .failure(let error): return HTTPProblem.answer(error, logger)
        }
    }

    // MARK: Snapshots

    /// What a request wants to know.
    private struct SnapshotRequest {
        let number: Int
        let job: JobID
        /// What `If-None-Match` says.
        let known: [String]
        let head: HTTPRequest
    }

    /// Finds out whether the snapshot is one that the client contains, or that has been answered before.
    private func revalidate(_ request: SnapshotRequest, _ context: ChannelHandlerContext) {
        let loop = context.eventLoop
        let me = NIOLoopBound((self, request), eventLoop: loop)
        service.stamp(of: request.job) { result in
            loop.execute { me.value.0.revalidated(me.value.1, result) }
        }
    }

    private func revalidated(_ request: SnapshotRequest, _ result: Result<SnapshotStamp?, StoreError>) {
        guard isCurrent(request.number) else { return }
        guard let stamp = found(result, request) else { return }
        let tag = SnapshotTag(stamp)
        if tag.isAmong(request.known) { return send(tag.unchanged()) }
        if let body = cache.body(request.job, stamp) {
            return send(SnapshotAnswer.head(tag, length: body.count), ByteBuffer(bytes: body))
        }
        if let context { read(request, context) } else { metrics.forwarded() }
    }

    private func read(_ request: SnapshotRequest, _ context: ChannelHandlerContext) {
        let loop = context.eventLoop
        let me = NIOLoopBound((self, request), eventLoop: loop)
        service.stampedJob(request.job) { result in
            loop.execute { me.value.0.answer(request: me.value.1, result) }
        }
    }

    private func answer(request: SnapshotRequest, _ result: Result<StampedJob?, StoreError>) {
        guard isCurrent(request.number) else { return }
        guard let job = found(result, request) else { return }
        let tag = SnapshotTag(job.stamp)
        if tag.isAmong(request.known) { return send(tag.unchanged()) }
        let answer = SnapshotAnswer.answer(job.view, .last)
        cache.insert(answer, of: request.job, job.stamp)
        send(answer)
    }

    /// What the ledger found. If it found nothing, the general route looks again and says so; a failure is answered here,
    /// because the general route would begin another ``ServerSettings/readDeadline``.
    private func found<R>(_ result: Result<R?, StoreError>, _ request: SnapshotRequest) -> R? {
        switch result {
        case .success(let found?): return found
        case .success(nil): forward(request)
        case .failure(let error): send(HTTPProblem.answer(error, isRead: true, logger))
        }
        return nil
    }

    /// The general route tells what is wrong.
    private func forward(_ request: SnapshotRequest) {
        metrics.forwarded()
        current = nil
        guard let context else { return }
        forward(request.head, [], isWhole: true, context)
        resumePipelined(context)
    }

    // MARK: Answering

    /// Begins to answer a request.
    ///
    /// - Returns: Its number, by which a result that comes too late is known.
    private func begin(_ method: String, _ route: String, isRead: Bool, _ context: ChannelHandlerContext) -> Int {
        state = .answering
        metrics.began()
        lastNumber += 1
        let limit = isRead ? settings.readDeadline : settings.writeDeadline
        current = Current(
            number: lastNumber, method: method, route: route, isRead: isRead, limit: limit,
            deadline: .now() + TimeAmount(limit))
        if timer == nil { scheduleDeadlineCheck(context.eventLoop) }
        return lastNumber
    }

    private func isCurrent(_ number: Int) -> Bool { current?.number == number }

    /// Looks again when the current request is late, or after the shortest time in which one could become so.
    private func scheduleDeadlineCheck(_ loop: any EventLoop) {
        guard let current else { return }
        let shortest = NIODeadline.now() + TimeAmount(min(settings.readDeadline, settings.writeDeadline))
        timer = loop.assumeIsolated().scheduleTask(deadline: min(current.deadline, shortest)) {
            self.checkDeadline(loop)
        }
    }

    private func checkDeadline(_ loop: any EventLoop) {
        timer = nil
        guard let current else { return }
        if NIODeadline.now() >= current.deadline {
            send(HTTPProblem.late(isRead: current.isRead, current.limit).answer)
        } else {
            scheduleDeadlineCheck(loop)
        }
    }

    private func send(_ answer: LedgerResponse) {
        var body: ByteBuffer?
        if case .bytes(let bytes) = answer.body { body = ByteBuffer(bytes: bytes) }
        send(answer.response.head, body)
    }

    private func send(_ head: HTTPResponse, _ body: ByteBuffer?) {
        guard let answered = current else { return }
        current = nil
        metrics.ended(
            route: answered.route, method: answered.method, status: head.status.code,
            seconds: answered.started.duration(to: .now))
        guard let context else { return }
        var head = head
        head.headerFields[.date] = date.text
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if let body { context.write(wrapOutboundOut(.body(body)), promise: nil) }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        state = .passing(requests: 0)
        resumePipelined(context)
    }

    /// Takes up what had to wait for the answer, until the next request has to be answered.
    private func resumePipelined(_ context: ChannelHandlerContext) {
        replayPipelined(context)
        readIfWanted(context)
    }

    // MARK: The rest of the channel

    /// Of a client that does not receive its answers no more requests are read.
    func read(context: ChannelHandlerContext) {
        if mayRead(context) { context.read() } else { wantsReading = true }
    }

    private func mayRead(_ context: ChannelHandlerContext) -> Bool {
        switch state {
        case .answering:
            !pipelined.isFull && context.channel.isWritable
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

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .answering = state {
            pipelined.buffer(.event(event))
        } else {
            context.fireUserInboundEventTriggered(event)
        }
    }

    /// What is wrong with a request is told after the answer to the one before it, which is under way. Of a body that does
    /// not arrive in time the general route tells the client.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch state {
        case .answering: return pipelined.buffer(.error(error))
        case .collecting(let head, _, let body, _): forward(head, body, isWhole: false, context)
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
