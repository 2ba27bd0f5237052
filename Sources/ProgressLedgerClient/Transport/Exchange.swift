import NIOCore
import NIOHTTP1

/// A request and the promise of its response.
struct Exchange: Sendable {
    /// The way in which the reader gets the body of the response.
    enum Delivery: Sendable {
        /// The whole body at once, `bytesMax` bytes at most.
        case collected(bytesMax: Int)
        /// Piece by piece, on the reader's request.
        ///
        /// See ``ExchangeHandler/next(_:deadline:)``. Only a success is streamed. The body of any other response is
        /// collected, 1 MiB at most.
        case streamed
    }

    let head: HTTPRequestHead
    let body: ByteBuffer?
    let delivery: Delivery
    let deadline: NIODeadline
    let response: EventLoopPromise<ReceivedResponse>
}

/// The response of a server.
struct ReceivedResponse: Sendable {
    let status: Int
    let headers: HTTPHeaders
    /// The whole body; empty if it is streamed.
    let body: ByteBuffer
    /// Whether the reader must request the pieces of the body.
    let isStreamed: Bool
}
