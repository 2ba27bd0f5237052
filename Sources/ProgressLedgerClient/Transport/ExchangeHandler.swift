import NIOCore
import NIOHTTP1

/// The end of a client channel's pipeline: one exchange at a time.
///
/// Reads are asked for one by one, so that a streamed answer flows no faster than its reader takes it: at most
/// what the channel reads in one go is held here.
final class ExchangeHandler: ChannelDuplexHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundIn = Exchange
    typealias OutboundOut = HTTPClientRequestPart

    /// Asks for the next piece of a streamed body; nil is its end. Sent as an outbound user event.
    struct NextPiece: Sendable {
        let piece: EventLoopPromise<ByteBuffer?>
        let deadline: NIODeadline
    }

    /// Where the channel is.
    private enum State {
        /// No exchange. → `collecting`, `closed`
        case idle
        /// The answer's head, or its collected body, is awaited. → `idle`, `streaming`, `closed`
        case collecting(Collecting)
        /// The reader takes pieces. → `idle`, `closed`
        case streaming(Streaming)
        /// The end. `pieces` that the reader has not taken may be left.
        case closed(TransportError)
    }

    private struct Collecting {
        let exchange: Exchange
        var head: HTTPResponseHead?
        var body = ByteBuffer()
        let bytesMax: Int
    }

    private struct Streaming {
        var pieces = CircularBuffer<ByteBuffer>()
        var waiting: EventLoopPromise<ByteBuffer?>?
        var hasEnded = false
        let isKeptAlive: Bool
    }

    /// The body of an answer that reports a failure fits in it many times over.
    private static let failureBytesMax = 1_048_576

    private var state = State.idle
    private var timer: Scheduled<Void>?
    /// Whether the last request has left as a whole: only then can the connection carry another.
    private var isRequestWritten = true

    func channelActive(context: ChannelHandlerContext) {
        context.fireChannelActive()
        // So that the channel learns of its peer's end while it is idle.
        context.read()
    }

    // MARK: Requests

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let exchange = unwrapOutboundIn(data)
        guard case .idle = state, context.channel.isActive else {
            exchange.answer.fail(TransportError.notConnected("the connection was closed by the server"))
            promise?.succeed()
            return
        }
        let bytesMax =
            switch exchange.delivery {
            case .collected(let bytesMax): bytesMax
            case .streamed: Self.failureBytesMax
            }
        state = .collecting(Collecting(exchange: exchange, bytesMax: bytesMax))
        startTimer(until: exchange.deadline, context: context)
        isRequestWritten = false
        context.write(wrapOutboundOut(.head(exchange.head)), promise: nil)
        if let body = exchange.body {
            context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
        }
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolated().whenSuccess { self.isRequestWritten = true }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: written)
        promise?.succeed()
    }

    func triggerUserOutboundEvent(context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?) {
        guard let request = event as? NextPiece else {
            context.triggerUserOutboundEvent(event, promise: promise)
            return
        }
        promise?.succeed()
        switch state {
        case .streaming(var streaming):
            if let piece = streaming.pieces.popFirst() {
                state = .streaming(streaming)
                request.piece.succeed(piece)
            } else if streaming.hasEnded {
                request.piece.succeed(nil)
                endExchange(isKeptAlive: streaming.isKeptAlive, context: context)
                // The end had come before its reader asked, so nothing is being read: the next answer would not be.
                if case .idle = state { context.read() }
            } else {
                precondition(streaming.waiting == nil, "a stream has one reader")
                streaming.waiting = request.piece
                state = .streaming(streaming)
                startTimer(until: request.deadline, context: context)
                context.read()
            }
        case .closed(let error):
            request.piece.fail(error)
        case .idle, .collecting:
            // The reader has had the end already.
            request.piece.succeed(nil)
        }
    }

    // MARK: Answers

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch (unwrapInboundIn(data), state) {
        case (.head(let head), .collecting(let collecting)):
            receive(head, collecting, context: context)
        case (.body(let piece), .collecting(let collecting)):
            receive(piece, collecting, context: context)
        case (.end, .collecting(let collecting)):
            guard let head = collecting.head else { return close(.lost("the answer has no head"), context: context) }
            endExchange(isKeptAlive: head.isKeepAlive, context: context)
            collecting.exchange.answer.succeed(
                HTTPAnswer(
                    status: Int(head.status.code), headers: head.headers, body: collecting.body, isStreamed: false))
        case (.body(let piece), .streaming(var streaming)):
            if let waiting = streaming.waiting.take() {
                timer?.cancel()
                state = .streaming(streaming)
                waiting.succeed(piece)
            } else {
                streaming.pieces.append(piece)
                state = .streaming(streaming)
            }
        case (.end, .streaming(var streaming)):
            if let waiting = streaming.waiting.take() {
                endExchange(isKeptAlive: streaming.isKeptAlive, context: context)
                waiting.succeed(nil)
            } else {
                streaming.hasEnded = true
                state = .streaming(streaming)
            }
        case (_, .idle), (_, .closed), (.head, .streaming):
            close(.lost("the server answered what it was not asked"), context: context)
        }
    }

    private func receive(_ head: HTTPResponseHead, _ collecting: Collecting, context: ChannelHandlerContext) {
        var collecting = collecting
        if case .streamed = collecting.exchange.delivery, head.status == .ok {
            timer?.cancel()
            state = .streaming(Streaming(isKeptAlive: head.isKeepAlive))
            collecting.exchange.answer.succeed(
                HTTPAnswer(
                    status: Int(head.status.code), headers: head.headers, body: ByteBuffer(), isStreamed: true))
        } else {
            collecting.head = head
            state = .collecting(collecting)
        }
    }

    private func receive(_ piece: ByteBuffer, _ collecting: Collecting, context: ChannelHandlerContext) {
        var collecting = collecting
        guard collecting.body.readableBytes + piece.readableBytes <= collecting.bytesMax else {
            return close(.answerTooLarge(bytesMax: collecting.bytesMax), context: context)
        }
        collecting.body.writeImmutableBuffer(piece)
        state = .collecting(collecting)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        context.fireChannelReadComplete()
        switch state {
        case .idle, .collecting: context.read()
        case .streaming(let streaming): if streaming.waiting != nil { context.read() }
        case .closed: break
        }
    }

    // MARK: Ends

    func channelInactive(context: ChannelHandlerContext) {
        close(.lost("the server closed the connection before its answer was complete"), context: context)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        close(.lost(String(describing: error)), context: context)
    }

    private func startTimer(until deadline: NIODeadline, context: ChannelHandlerContext) {
        timer?.cancel()
        timer = context.eventLoop.assumeIsolated().scheduleTask(deadline: deadline) {
            self.close(.deadlineExceeded(mayHaveBeenSent: true), context: context)
        }
    }

    private func endExchange(isKeptAlive: Bool, context: ChannelHandlerContext) {
        timer?.cancel()
        state = .idle
        guard isKeptAlive, isRequestWritten else {
            return close(.notConnected("the server closed the connection after its answer"), context: context)
        }
    }

    private func close(_ error: TransportError, context: ChannelHandlerContext) {
        timer?.cancel()
        let ended = state
        switch ended {
        case .closed: return
        case .idle, .collecting, .streaming: state = .closed(error)
        }
        switch ended {
        case .collecting(let collecting): collecting.exchange.answer.fail(error)
        case .streaming(let streaming): streaming.waiting?.fail(error)
        case .idle, .closed: break
        }
        context.close(promise: nil)
    }
}
