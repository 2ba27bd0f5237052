import NIOCore
import NIOHTTP1

/// The last handler of a client channel, which performs one exchange at a time.
///
/// It belongs to the channel's event loop. It requests each read explicitly, so a streamed response flows no faster
/// than its reader consumes it, and the handler holds at most the data of one read of the channel. Callers call the
/// handler directly instead of through the pipeline, because the reader may take the data that it holds after the
/// channel has been closed and has removed it.
final class ExchangeHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    /// The state of the channel, with its transitions.
    private enum State {
        /// No exchange is in progress. → `collecting`, `closed`.
        case idle
        /// The head or the collected body is pending. → `idle`, `streaming`, `closed`.
        case collecting(Collecting)
        /// The reader takes pieces, even after the channel is closed. → `idle`, `closed`.
        case streaming(Streaming)
        /// The final state.
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
        /// The end of the body after the pieces; nil while more may come.
        var end: Result<Void, TransportError>?
        let isKeptAlive: Bool
    }

    /// The largest body, in bytes, of a response that reports a failure.
    ///
    /// Such a body is usually far smaller.
    private static let failureBytesMax = 1_048_576

    private var state = State.idle
    private var timer: Scheduled<Void>?
    /// The context; nil before the handler is in its pipeline and after its removal.
    private var context: ChannelHandlerContext?
    /// Whether the last request is written completely.
    ///
    /// Only then can the connection carry another one.
    private var isRequestWritten = true

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
    }

    func channelActive(context: ChannelHandlerContext) {
        context.fireChannelActive()
        // A pending read lets an idle channel notice that its peer has closed the connection.
        context.read()
    }

    // MARK: Requests

    /// Sends a request; its promise is completed in every case.
    func send(_ exchange: Exchange) {
        guard case .idle = state, let context, context.channel.isActive else {
            return exchange.response.fail(TransportError.notConnected("the connection was closed by the server"))
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

    /// Requests the next piece of a streamed body; nil is its end.
    ///
    /// The promise is completed in every case.
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
                guard let context else { preconditionFailure("a stream without an end has a context") }
                streaming.waiting = piece
                state = .streaming(streaming)
                startTimer(until: deadline, context)
                context.read()
            }
        case .closed(let error):
            piece.fail(error)
        case .idle, .collecting:
            preconditionFailure("pieces must not be requested after the end of a stream")
        }
    }

    // MARK: Responses

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch (unwrapInboundIn(data), state) {
        case (.head(let head), .collecting(let collecting)):
            receive(head, collecting)
        case (.body(let piece), .collecting(let collecting)):
            receive(piece, collecting)
        case (.end, .collecting(let collecting)):
            guard let head = collecting.head else { return close(.lost("the response has no head")) }
            endExchange(isKeptAlive: head.isKeepAlive)
            collecting.exchange.response.succeed(
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
            close(.lost("the server sent a response without a request"))
        }
    }

    private func receive(_ head: HTTPResponseHead, _ collecting: Collecting) {
        var collecting = collecting
        if case .streamed = collecting.exchange.delivery, head.status == .ok {
            timer?.cancel()
            state = .streaming(Streaming(isKeptAlive: head.isKeepAlive))
            collecting.exchange.response.succeed(
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
            return close(.responseTooLarge(bytesMax: collecting.bytesMax))
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

    // MARK: Closing

    func channelInactive(context: ChannelHandlerContext) {
        close(.lost("the server closed the connection before the response was complete"))
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
            return close(.notConnected("the server closed the connection after its response"))
        }
        // A pending read lets the channel notice that its peer has closed the connection, and read the next response.
        context?.read()
    }

    private func close(_ error: TransportError) {
        timer?.cancel()
        switch state {
        case .idle:
            state = .closed(error)
        case .collecting(let collecting):
            state = .closed(error)
            collecting.exchange.response.fail(error)
        case .streaming(var streaming):
            if let waiting = streaming.waiting {
                state = .closed(error)
                waiting.fail(error)
            } else if streaming.end == nil {
                // The reader still has to take the pieces that have arrived.
                streaming.end = .failure(error)
                state = .streaming(streaming)
            }
        case .closed:
            return
        }
        context?.close(promise: nil)
    }
}
