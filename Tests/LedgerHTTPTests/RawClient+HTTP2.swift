import NIOCore
import NIOHTTP1
import NIOHTTP2
import NIOPosix
import Testing

extension RawClient {
    /// Sends a request over HTTP/2 on a connection of its own.
    func requestOverHTTP2(
        _ method: String, _ path: String, headers: [String: String] = [:], body: [UInt8]? = nil
    ) async throws -> RawResponse {
        try await withHTTP2 { try await $0.request(method, path, headers: headers, body: body) }
    }

    /// Runs the closure with a connection of HTTP/2.
    func withHTTP2<R>(_ body: (HTTP2Connection) async throws -> R) async throws -> R {
        let (channel, streams) = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    let streams = try channel.pipeline.syncOperations.configureAsyncHTTP2Pipeline(
                        mode: .client, configuration: .init()
                    ) { $0.eventLoop.makeSucceededVoidFuture() }
                    return (channel, streams)
                }
            }
        let result: Result<R, any Error>
        do { result = .success(try await body(HTTP2Connection(channel: channel, streams: streams))) } catch {
            result = .failure(error)
        }
        try? await channel.close()
        return try result.get()
    }
}

/// A client's connection of HTTP/2.
struct HTTP2Connection: Sendable {
    let channel: any Channel
    fileprivate let streams: NIOHTTP2Handler.AsyncStreamMultiplexer<Void>

    /// Sends a request on a stream of its own.
    func request(
        _ method: String, _ path: String, headers: [String: String] = [:], body: [UInt8]? = nil
    ) async throws -> RawResponse {
        var fields = HTTPHeaders([("host", "localhost")])
        for (name, value) in headers { fields.replaceOrAdd(name: name, value: value) }
        if let body { fields.add(name: "content-length", value: "\(body.count)") }
        let stream = try await streams.openStream { stream in
            stream.eventLoop.makeCompletedFuture {
                try stream.pipeline.syncOperations.addHandler(HTTP2FramePayloadToHTTP1ClientCodec(httpProtocol: .http))
                return try NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart>(
                    wrappingChannelSynchronously: stream)
            }
        }
        return try await stream.executeThenClose { inbound, outbound in
            try await outbound.write(
                .head(
                    HTTPRequestHead(
                        version: .http2, method: HTTPMethod(rawValue: method), uri: path, headers: fields)))
            if let body { try await outbound.write(.body(.byteBuffer(ByteBuffer(bytes: body)))) }
            try await outbound.write(.end(nil))
            var status: Int?
            var received: [String: String] = [:]
            var bytes: [UInt8] = []
            for try await part in inbound {
                switch part {
                case .head(let head):
                    status = Int(head.status.code)
                    for (name, value) in head.headers { received[name.lowercased()] = value }
                case .body(let buffer): bytes.append(contentsOf: buffer.readableBytesView)
                // Trailers are fields too.
                case .end(let trailers):
                    for (name, value) in trailers ?? [:] { received[name.lowercased()] = value }
                }
            }
            return RawResponse(status: try #require(status), headers: received, body: bytes)
        }
    }
}
