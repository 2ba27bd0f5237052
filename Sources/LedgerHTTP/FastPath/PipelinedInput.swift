internal import HTTPTypes
internal import NIOCore
internal import NIOHTTPTypes

/// Input that arrives on a connection before the response to an earlier request, in order.
///
/// Few clients pipeline requests. The connection is not read any further once this is full. It is outside the budget of
/// bodies, so it holds little.
struct PipelinedInput {
    enum Incoming {
        case part(HTTPRequestPart)
        /// For example the end of a client's input; its handler closes the connection.
        case event(Any)
        /// For example a next request that is unreadable or late; its handler responds.
        case error(any Error)
    }

    private static let countMax = 32
    private static let bytesMax = 4_096

    private var incoming: [Incoming] = []
    private var bytes = 0

    /// Whether to stop reading.
    var isFull: Bool { incoming.count >= Self.countMax || bytes >= Self.bytesMax }

    /// Whether the client has closed its side, or has sent unreadable input.
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
            bytes += head.headerFields.reduce(head.path?.utf8.count ?? 0) {
                $0 + $1.name.rawName.utf8.count + $1.value.utf8.count
            }
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

    /// Takes a part of a request, or holds it.
    func receive(_ part: HTTPRequestPart, _ context: ChannelHandlerContext)
}

extension PipelinedInputBuffering {
    /// Handles the buffered input; from the next request that needs a response on, it is buffered again.
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
