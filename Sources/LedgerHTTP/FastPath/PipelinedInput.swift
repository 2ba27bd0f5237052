internal import HTTPTypes
internal import NIOCore
internal import NIOHTTPTypes

/// What comes in on a connection while a request is being answered there, in its order: it is taken up afterwards.
///
/// Few clients send the next request before they have the answer to the last one. Of those who do, no more is read once
/// it is full. It is outside the budget of bodies, so it holds little.
struct PipelinedInput {
    enum Incoming {
        case part(HTTPRequestPart)
        /// The end of what a client sends, among others: whoever hears of it closes the connection.
        case event(Any)
        /// A next request that cannot be read, or does not arrive in time, among others: whoever hears of it answers that.
        case error(any Error)
    }

    private static let countMax = 32
    private static let bytesMax = 4_096

    private var incoming: [Incoming] = []
    private var bytes = 0

    /// Whether no more should be read.
    var isFull: Bool { incoming.count >= Self.countMax || bytes >= Self.bytesMax }

    /// Whether the client has said that it sends nothing more, or has sent what cannot be read.
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

    /// All that was pipelined, which is not pipelined any more.
    mutating func removeAll() -> [Incoming] {
        defer { self = PipelinedInput() }
        return incoming
    }
}

/// A handler that holds back what comes in while it answers.
protocol PipelinedInputBuffering: ChannelInboundHandler {
    var pipelined: PipelinedInput { get set }

    /// Takes a part of a request, or holds it.
    func receive(_ part: HTTPRequestPart, _ context: ChannelHandlerContext)
}

extension PipelinedInputBuffering {
    /// Takes up what had to wait, until the next request has to be answered: from there on it is pipelined again.
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
