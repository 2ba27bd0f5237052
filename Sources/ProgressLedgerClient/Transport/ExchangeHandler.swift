import NIOCore
import NIOHTTP1

/// The end of a client channel's pipeline: one exchange at a time. Lives on the channel's event loop.
///
/// Reads are asked for one by one, so that a streamed answer flows no faster than its reader takes it: at most
/// what the channel reads in one go is held here. It is called directly and not through the pipeline, because it has to
/// hand out what it holds also after the channel has been closed and has left it.
final class ExchangeHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    /// Where the channel is.
    private enum State {
        /// No exchange. → `collecting`, `closed`
        case idle
        /// The answer's head, or its collected body, is awaited. → `idle`, `streaming`, `closed`
        case collecting(Collecting)
        /// The reader takes pieces, also after the end of the channel. → `idle`, `closed`
        case streaming(Streaming)
        /// The end.
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
        /// What follows the pieces; nil while more may come.
        var end: Result<Void, TransportError>?
        let isKeptAlive: Bool
    }

    /// The body of an answer that reports a failure fits in it many times over.
    private static let failureBytesMax = 1_048_576

    private var state = State.idle
    private var timer: Scheduled<Void>?
    /// Nil before the handler is in its pipeline, and after it.
    private var context: ChannelHandlerContext?
    /// Whether the last request has left as a whole: only then can the connection carry another.
    private var isRequestWritten = true

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
    }

    func channelActive(context: ChannelHandlerContext) {
        context.fireChannelActive()
        // So that the channel learns of its peer's end while it is idle.
        context.read()
    }

    // MARK: Requests

    /// Sends a request. Its promise is kept, whatever happens.
    func send(_ exchange: Exchange) {
        guard case .idle = state, let context, context.channel.isActive else {
            return exchange.answer.fail(TransportError.notConnected("the connection was closed by the server"))
        }
        let bytesMax =
            switch exchange.delivery {
            case .collected(let bytesMax): bytesMax
            case .streamed: Self.failureBytesMax
            }
        state = .collecting(Collecting(exchange: exchange, bytesMax: bytesMax))
        startTimer(until: exchange.deadline, context)
        isRequestWritten = false
        context.write(wrapOutboundOut(.head(exchange.head)), promise: nil)
        if let body = exchange.body {
            context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
        }
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolated().whenSuccess { self.isRequestWritten = true }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: written)
    }

    /// Asks for the next piece of a streamed body; nil is its end. The promise is kept, whatever happens.
    func next(_ piece: EventLoopPromise<ByteBuffer?>, deadline: NIODeadline) {
        switch state {
        case .streaming(var streaming):
            if let first = streaming.pieces.popFirst() {
                state = .streaming(streaming)
                return piece.succeed(first)
            }
            switch streaming.end {
            case .success:
                endExchange(isKeptAlive: streaming.isKeptAlive)
                piece.succeed(nil)
            case .failure(let error):
                state = .closed(error)
                piece.fail(error)
            case nil:
                precondition(streaming.waiting == nil, "a stream has one reader")
                guard let context else { preconditionFailure("a channel does not end without its handler's knowing") }
                streaming.waiting = piece
                state = .streaming(streaming)
                startTimer(until: deadline, context)
                context.read()
            }
        case .closed(let error):
            piece.fail(error)
        case .idle, .collecting:
            preconditionFailure("pieces are asked for up to the end of a stream, and no further")
        }
    }

    // MARK: Answers

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch (unwrapInboundIn(data), state) {
        case (.head(let head), .collecting(let collecting)):
            receive(head, collecting)
        case (.body(let piece), .collecting(let collecting)):
            receive(piece, collecting)
        case (.end, .collecting(let collecting)):
            guard let head = collecting.head else { return close(.lost("the answer has no head")) }
            endExchange(isKeptAlive: head.isKeepAlive)
            collecting.exchange.answer.succeed(
                ReceivedResponse(
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
                endExchange(isKeptAlive: streaming.isKeptAlive)
                waiting.succeed(nil)
            } else {
                streaming.end = .success(())
                state = .streaming(streaming)
            }
        case (_, .idle), (_, .closed), (.head, .streaming):
            close(.lost("the server answered what it was not asked"))
        }
    }

    private func receive(_ head: HTTPResponseHead, _ collecting: Collecting) {
        var collecting = collecting
        if case .streamed = collecting.exchange.delivery, head.status == .ok {
            timer?.cancel()
            state = .streaming(Streaming(isKeptAlive: head.isKeepAlive))
            collecting.exchange.answer.succeed(
                ReceivedResponse(
                    status: Int(head.status.code), headers: head.headers, body: ByteBuffer(), isStreamed: true))
        } else {
            collecting.head = head
            state = .collecting(collecting)
        }
    }

    private func receive(_ piece: ByteBuffer, _ collecting: Collecting) {
        var collecting = collecting
        guard collecting.body.readableBytes + piece.readableBytes <= collecting.bytesMax else {
            return close(.answerTooLarge(bytesMax: collecting.bytesMax))
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
        close(.lost("the server closed the connection before its answer was complete"))
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        close(.lost(String(describing: error)))
    }

    private func startTimer(until deadline: NIODeadline, _ context: ChannelHandlerContext) {
        timer?.cancel()
        timer = context.eventLoop.assumeIsolated().scheduleTask(deadline: deadline) {
            self.close(.deadlineExceeded(mayHaveBeenSent: true))
        }
    }

    private func endExchange(isKeptAlive: Bool) {
        timer?.cancel()
        state = .idle
        guard isKeptAlive, isRequestWritten else {
            return close(.notConnected("the server closed the connection after its answer"))
        }
        // So that the channel learns of its peer's end, and of the next answer.
        context?.read()
    }

    private func close(_ error: TransportError) {
        timer?.cancel()
        switch state {
        case .idle:
            state = .closed(error)
        case .collecting(let collecting):
            state = .closed(error)
            collecting.exchange.answer.fail(error)
        case .streaming(var streaming):
            if let waiting = streaming.waiting {
                state = .closed(error)
                waiting.fail(error)
            } else if streaming.end == nil {
                // What has arrived is still to be read.
                streaming.end = .failure(error)
                state = .streaming(streaming)
            }
        case .closed:
            return
        }
        context?.close(promise: nil)
    }
}
