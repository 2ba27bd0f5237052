import NIOCore
import Testing

extension RawClient {
    /// Sends pieces on one connection, closes the output and reads all responses.
    func sendPipelined(_ pieces: [String]) async throws -> [RawResponse] {
        let channel = try await connect(closesOutput: true)
        let received: [UInt8] = try await channel.executeThenClose { inbound, outbound in
            for piece in pieces { try await outbound.write(ByteBuffer(string: piece)) }
            outbound.finish()
            var received: [UInt8] = []
            for try await part in inbound { received.append(contentsOf: part.readableBytesView) }
            return received
        }
        return try RawResponse.all(in: received)
    }

    /// Sends a request on a connection that stays open, as the fast path requires.
    func send(
        _ method: String, _ path: String, _ headers: [String: String] = [:], _ body: String? = nil
    ) async throws -> RawResponse {
        var text = "\(method) \(path) HTTP/1.1\r\nHost: \(headers["Host"] ?? "localhost")\r\n"
        for (name, value) in headers where name != "Host" { text += "\(name): \(value)\r\n" }
        if let body { text += "Content-Length: \(body.utf8.count)\r\n" }
        return try #require(try await sendPipelined([text + "\r\n" + (body ?? "")]).first)
    }
}

extension RawResponse {
    /// Splits received bytes into responses, by their Content-Length.
    static func all(in bytes: [UInt8]) throws -> [RawResponse] {
        let separator = Array("\r\n\r\n".utf8)
        var responses: [RawResponse] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            let end = try #require(rest.indices.first { rest[$0...].starts(with: separator) })
            let head = try RawClient.parse(Array(rest[..<end]) + separator)
            let length = head.status == 304 ? 0 : try #require(head.headers["content-length"].flatMap { Int($0) })
            let bodyStart = end + separator.count
            responses.append(
                RawResponse(
                    status: head.status, headers: head.headers, body: Array(rest[bodyStart..<bodyStart + length])))
            rest = rest[(bodyStart + length)...]
        }
        return responses
    }
}
