import LedgerWire
import NIOCore
import Testing

/// One event of a stream of server-sent events, or a comment.
struct ServerSentEvent: Equatable, Sendable {
    var name = ""
    var id: String?
    var data = ""
    var comment: String?

    /// The sequence at the beginning of its id.
    var sequence: String? { id.flatMap { $0.split(separator: "-").first }.map(String.init) }

    var json: JSONValue { get throws { try JSONReader.read(Array(data.utf8)) } }
}

/// Reads a stream of server-sent events as a browser does.
///
/// `@unchecked Sendable`: one task uses it at a time.
final class EventSource: @unchecked Sendable {
    private var inbound: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator
    private var received: [UInt8] = []
    private var text: [UInt8] = []
    private(set) var head = ""
    private var hasEnded = false

    /// Runs the body with the stream of this request.
    static func open<R>(
        _ client: RawClient, _ path: String, headers: [String: String] = [:],
        _ body: (EventSource) async throws -> R
    ) async throws -> R {
        let channel = try await client.connect()
        return try await channel.executeThenClose { inbound, outbound in
            var request = "GET \(path) HTTP/1.1\r\nHost: localhost\r\n"
            for (name, value) in headers { request += "\(name): \(value)\r\n" }
            try await outbound.write(ByteBuffer(string: request + "\r\n"))
            let source = EventSource(inbound: inbound.makeAsyncIterator())
            try await source.readHead()
            return try await body(source)
        }
    }

    private init(inbound: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator) {
        self.inbound = inbound
    }

    private func readHead() async throws {
        let end = Array("\r\n\r\n".utf8)
        while true {
            if let start = received.indices.first(where: { received[$0...].starts(with: end) }) {
                head = String(decoding: received[..<start], as: UTF8.self)
                received.removeFirst(start + 4)
                return
            }
            try #require(try await more(), "the connection ended within the head")
        }
    }

    private func more() async throws -> Bool {
        guard let part = try await inbound.next() else { return false }
        received.append(contentsOf: part.readableBytesView)
        return true
    }

    /// The next event or comment; nil at the end of the response.
    func nextOrComment() async throws -> ServerSentEvent? {
        while true {
            if let end = text.indices.first(where: { text[$0...].starts(with: [10, 10]) }) {
                let block = String(decoding: text[..<end], as: UTF8.self)
                text.removeFirst(end + 2)
                return Self.parse(block)
            }
            guard !hasEnded else { return nil }
            if try !takeChunk(), try await !more() { hasEnded = true }
        }
    }

    /// The next event; nil at the end of the response.
    func next() async throws -> ServerSentEvent? {
        while let event = try await nextOrComment() {
            if event.comment == nil { return event }
        }
        return nil
    }

    /// Takes a chunk from the received bytes; false if none is complete.
    private func takeChunk() throws -> Bool {
        guard let lineEnd = received.firstIndex(of: 13) else { return false }
        let size = try #require(Int(String(decoding: received[..<lineEnd], as: UTF8.self), radix: 16))
        guard received.count >= lineEnd + 2 + size + 2 else { return false }
        text += received[(lineEnd + 2)..<(lineEnd + 2 + size)]
        received.removeFirst(lineEnd + 2 + size + 2)
        if size == 0 { hasEnded = true }
        return true
    }

    private static func parse(_ block: String) -> ServerSentEvent {
        var event = ServerSentEvent()
        for line in block.split(separator: "\n", omittingEmptySubsequences: false) {
            let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            let value = parts.count > 1 ? String(parts[1].drop { $0 == " " }) : ""
            switch parts[0] {
            case "": event.comment = value
            case "event": event.name = value
            case "id": event.id = value
            case "data": event.data += value
            default: break
            }
        }
        return event
    }
}
