import NIOCore
import NIOHTTP1

/// A request on its way through a channel, with the promises of what comes back.
struct Exchange: Sendable {
    /// How the body of the answer is handed over.
    enum Delivery: Sendable {
        /// As a whole, `bytesMax` at most.
        case collected(bytesMax: Int)
        /// Piece by piece, as the reader asks for it (``ExchangeHandler/next(_:deadline:)``). Only a success streams: the
        /// body of any other answer is collected, 1 MiB at most.
        case streamed
    }

    let head: HTTPRequestHead
    let body: ByteBuffer?
    let delivery: Delivery
    let deadline: NIODeadline
    let answer: EventLoopPromise<ReceivedResponse>
}

/// What a server answered.
struct ReceivedResponse: Sendable {
    let status: Int
    let headers: HTTPHeaders
    /// The whole body; empty where it is streamed.
    let body: ByteBuffer
    /// Whether pieces of the body are still to be asked for.
    let isStreamed: Bool
}
