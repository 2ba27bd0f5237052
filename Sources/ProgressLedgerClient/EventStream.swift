public import Ledger
import LedgerWire
import NIOCore

/// A job's history as an asynchronous sequence of events.
///
/// It needs bounded memory: the server sends no faster than the caller takes events. Each iteration sends a request of
/// its own; leaving the loop early ends the request.
public struct EventStream: AsyncSequence, Sendable {
    public typealias Failure = LedgerClientError

    let lines: LineStream

    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(lines: lines.makeAsyncIterator())
    }

    public struct AsyncIterator: AsyncIteratorProtocol {
        var lines: LineStream.AsyncIterator

        public mutating func next() async throws(LedgerClientError) -> ExplainedEvent? {
            guard let line = try await lines.next() else { return nil }
            do {
                return try ExplainedEvent(try JSONReader.read(line))
            } catch {
                throw LedgerClientError(.unexpectedResponse, "Cannot read a line of the history as an event: \(error)")
            }
        }
    }
}

/// The lines of a response, without line feeds and without empty lines.
package struct LineStream: AsyncSequence, Sendable {
    package typealias Failure = LedgerClientError

    let client: LedgerClient
    let request: LedgerRequest
    /// The longest line, in bytes, that is held in memory.
    ///
    /// It is longer than any event: an event with all its texts escaped stays below 20 kB.
    var lineBytesMax = 1_048_576

    package func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(client: client, request: request, lineBytesMax: lineBytesMax)
    }

    package struct AsyncIterator: AsyncIteratorProtocol {
        private enum State {
            case unopened
            case open(Body)
            case ended
        }

        private let client: LedgerClient
        private let request: LedgerRequest
        private let lineBytesMax: Int
        private var state = State.unopened
        /// The server's clock when the response began.
        ///
        /// It is nil before the response begins, and if the response has no `Date` header.
        private(set) var clock: ServerClock?
        private var buffer = ByteBuffer()

        init(client: LedgerClient, request: LedgerRequest, lineBytesMax: Int) {
            self.client = client
            self.request = request
            self.lineBytesMax = lineBytesMax
        }

        package mutating func next() async throws(LedgerClientError) -> [UInt8]? {
            while true {
                if let line = takeLine() {
                    if !line.isEmpty { return line }
                    continue
                }
                guard let piece = try await nextPiece() else {
                    // Text after the last line feed is a line too.
                    let rest = buffer.readBytes(length: buffer.readableBytes) ?? []
                    return rest.isEmpty ? nil : rest
                }
                buffer.discardReadBytes()
                buffer.writeImmutableBuffer(piece)
                guard buffer.readableBytes <= lineBytesMax || buffer.readableBytesView.contains(10) else {
                    state = .ended
                    throw LedgerClientError(
                        .tooLarge, "A line of the response is longer than \(lineBytesMax) bytes.")
                }
            }
        }

        private mutating func takeLine() -> [UInt8]? {
            guard let end = buffer.readableBytesView.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
            let line = buffer.readBytes(length: end - buffer.readerIndex)
            buffer.moveReaderIndex(forwardBy: 1)
            return line
        }

        private mutating func nextPiece() async throws(LedgerClientError) -> ByteBuffer? {
            let body: Body
            switch state {
            case .ended: return nil
            case .open(let open): body = open
            case .unopened:
                let (connection, headers) = try await client.open(request)
                clock = ServerClock(headers)
                body = Body(connection, client.pool)
                state = .open(body)
            }
            do throws(TransportError) {
                let piece = try await body.connection.nextPiece(deadline: .now + client.settings.deadline)
                if piece == nil {
                    body.finish()
                    state = .ended
                }
                return piece
            } catch {
                state = .ended
                throw LedgerClientError(error, of: request, at: client.address)
            }
        }
    }

    /// A connection in the middle of a response.
    ///
    /// It returns to the pool after the end of the response, and is closed if the caller stops before the end.
    private final class Body {
        let connection: HTTPConnection
        private let pool: ConnectionPool
        private var isFinished = false

        init(_ connection: HTTPConnection, _ pool: ConnectionPool) {
            self.connection = connection
            self.pool = pool
        }

        func finish() {
            isFinished = true
        }

        deinit {
            if isFinished { pool.release(connection) } else { pool.discard(connection) }
        }
    }
}
