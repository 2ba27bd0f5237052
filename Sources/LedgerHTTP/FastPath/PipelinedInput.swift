internal import NIOCore
internal import NIOHTTP1

/// Input of a connection that arrives before the response to an earlier request.
///
/// It is in order. Few clients pipeline requests. The handler stops reading the connection once this is full. The limit
/// is small, because this input is not part of the budget of bodies.
struct PipelinedInput {
    enum Incoming {
        case part(HTTPServerRequestPart)
        /// An event such as the end of a client's input; its handler closes the connection.
        case event(Any)
        /// An error such as an unreadable or late next request; its handler responds.
        case error(any Error)
    }

    private static let countMax = 32
    private static let bytesMax = 4_096

    private var incoming: [Incoming] = []
    private var bytes = 0

    /// Whether to stop reading.
    var isFull: Bool { incoming.count >= Self.countMax || bytes >= Self.bytesMax }

    /// Whether the client has closed its output, or has sent unreadable input.
    var hasEnd: Bool {
        incoming.contains { incoming in
            switch incoming {
            case .part: false
            case .event(let event): event as? ChannelEvent == .inputClosed
            case .error: true
            }
        }
    }

    mutating func buffer(_ incoming: Incoming) {
        self.incoming.append(incoming)
        switch incoming {
        case .part(.head(let head)):
            bytes += head.headers.reduce(head.uri.utf8.count) { $0 + $1.name.utf8.count + $1.value.utf8.count }
        case .part(.body(let body)): bytes += body.readableBytes
        default: break
        }
    }

    /// Removes and returns all input.
    mutating func removeAll() -> [Incoming] {
        defer { self = PipelinedInput() }
        return incoming
    }
}

/// A handler that buffers input until its current response is sent.
protocol PipelinedInputBuffering: ChannelInboundHandler {
    var pipelined: PipelinedInput { get set }

    /// Handles a part of a request, or buffers it.
    func receive(_ part: HTTPServerRequestPart, _ context: ChannelHandlerContext)
}

extension PipelinedInputBuffering {
    /// Handles the buffered input.
    ///
    /// If a request in it has to wait for its response, the input after that request is buffered again.
    func replayPipelined(_ context: ChannelHandlerContext) {
        let waiting = pipelined.removeAll()
        for incoming in waiting {
            switch incoming {
            case .part(let part): receive(part, context)
            case .event(let event): userInboundEventTriggered(context: context, event: event)
            case .error(let error): errorCaught(context: context, error: error)
            }
        }
        if !waiting.isEmpty { context.fireChannelReadComplete() }
    }
}
