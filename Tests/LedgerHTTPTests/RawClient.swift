import LedgerHTTP
import LedgerStore
import LedgerTestSupport
import LedgerWire
import Logging
import NIOCore
import NIOPosix
import Testing
import Tracing

/// A response of a server, as it was received.
struct RawResponse: Sendable {
    let status: Int
    let headers: [String: String]
    let body: [UInt8]

    var json: JSONValue { get throws { try JSONReader.read(body) } }
    /// The body as text, without the id of the request: each request has its own.
    var textWithoutID: String {
        String(decoding: body, as: UTF8.self).replacing(/request_id":"[0-9a-f]+|<code>[0-9a-f]+/, with: "")
    }
    /// The locations in the errors of a problem: JSON pointers, or names of parameters.
    var pointers: [String] {
        get throws { (try json["errors"]?.elements ?? []).compactMap { $0["pointer"]?.text ?? $0["parameter"]?.text } }
    }
}

/// A client that sends bytes unchanged, each request on a connection of its own.
///
/// A test can therefore send any invalid request.
struct RawClient: Sendable {
    let port: Int
    /// The longest life of a connection.
    ///
    /// After it the connection is closed, and the test that waits for a response fails instead of stopping the run.
    private static let lifeMax: TimeAmount = .seconds(300)

    func send(_ bytes: [UInt8]) async throws -> RawResponse {
        let channel = try await connect()
        return try await channel.executeThenClose { inbound, outbound in
            try await outbound.write(ByteBuffer(bytes: bytes))
            var received: [UInt8] = []
            for try await part in inbound { received.append(contentsOf: part.readableBytesView) }
            return try Self.parse(received)
        }
    }

    /// Connects.
    ///
    /// - Parameter closesOutput: Whether the client closes its output before it has received all.
    func connect(closesOutput: Bool = false) async throws -> NIOAsyncChannel<ByteBuffer, ByteBuffer> {
        try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.allowRemoteHalfClosure, value: closesOutput)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .connect(host: "127.0.0.1", port: port) { channel in
                let expiry = channel.eventLoop.scheduleTask(in: Self.lifeMax) { channel.close(promise: nil) }
                channel.closeFuture.whenComplete { _ in expiry.cancel() }
                return channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(
                        wrappingChannelSynchronously: channel,
                        configuration: .init(isOutboundHalfClosureEnabled: closesOutput))
                }
            }
    }

    func request(
        _ method: String, _ path: String, headers: [String: String] = [:], body: [UInt8]? = nil
    ) async throws -> RawResponse {
        var text = "\(method) \(path) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        for (name, value) in headers { text += "\(name): \(value)\r\n" }
        if let body { text += "Content-Length: \(body.count)\r\n" }
        return try await send(Array((text + "\r\n").utf8) + (body ?? []))
    }

    func get(_ path: String, headers: [String: String] = [:]) async throws -> RawResponse {
        try await request("GET", path, headers: headers)
    }

    func post(_ path: String, _ json: String, type: String = "application/json") async throws -> RawResponse {
        try await request("POST", path, headers: ["Content-Type": type], body: Array(json.utf8))
    }

    /// Creates a job with this name, and returns its id.
    func createJob(_ name: String = "job") async throws -> String {
        let response = try await post("/v1/jobs", #"{"name":"\#(name)"}"#)
        return try #require(try response.json["job"]?.text)
    }

    static func parse(_ bytes: [UInt8]) throws -> RawResponse {
        let separator = Array("\r\n\r\n".utf8)
        let end = try #require(
            bytes.indices.first { bytes[$0...].starts(with: separator) },
            "no complete head in \(String(decoding: bytes, as: UTF8.self))")
        let lines = String(decoding: bytes[..<end], as: UTF8.self).split(separator: "\r\n")
        let status = try #require(Int(lines[0].split(separator: " ")[1]))
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            headers[parts[0].lowercased()] = parts.count > 1 ? String(parts[1].drop { $0 == " " }) : ""
        }
        var body = Array(bytes[(end + 4)...])
        if headers["transfer-encoding"] == "chunked" { body = try unchunked(body) }
        return RawResponse(status: status, headers: headers, body: body)
    }

    private static func unchunked(_ bytes: [UInt8]) throws -> [UInt8] {
        var rest = bytes[...]
        var body: [UInt8] = []
        while let lineEnd = rest.firstIndex(of: 0x0D) {
            let size = try #require(Int(String(decoding: rest[..<lineEnd], as: UTF8.self), radix: 16))
            guard size > 0 else { return body }
            body += rest[(lineEnd + 2)..<(lineEnd + 2 + size)]
            rest = rest[(lineEnd + 4 + size)...]
        }
        return body
    }
}

/// Runs the closure with a server on a free port, on a ledger in memory.
///
/// The contract suite of `LedgerService` shows that the ledger in memory behaves like the one in PostgreSQL. Tests of
/// the database, of replays or of exact texts use ``withPostgresServer(_:_:)``.
func withServer<R: Sendable>(
    _ adjust: (inout ServerSettings) -> Void = { _ in }, _ body: (RawClient, any LedgerService) async throws -> R
) async throws -> R {
    var settings = ServerSettings()
    settings.port = 0
    adjust(&settings)
    let ledger = InMemoryLedger()
    return try await withServer(on: ledger, settings) { try await body($0, ledger) }
}

/// Runs the closure with a server on a free port and a database of its own.
func withPostgresServer<R: Sendable>(_ body: (RawClient, PostgresLedger) async throws -> R) async throws -> R {
    var settings = ServerSettings()
    settings.port = 0
    return try await withLedger { ledger in
        try await withServer(on: ledger, settings) { try await body($0, ledger) }
    }
}

/// Runs the closure with a server on a free port for this service.
func withServer<R: Sendable>(
    on service: any LedgerService, _ settings: ServerSettings, logger: Logger = TestCluster.logger,
    tracer: (any Tracer)? = nil, _ body: (RawClient) async throws -> R
) async throws -> R {
    let (ports, sink) = AsyncStream.makeStream(of: Int.self)
    let server = LedgerServer(service: service, settings: settings, logger: logger, tracer: tracer) { _, port in
        sink.yield(port)
    }
    let running = Task {
        // A server that cannot start yields no port.
        defer { sink.finish() }
        try await server.run()
    }
    var port: Int?
    for await first in ports {
        port = first
        break
    }
    let result: Result<R, any Error>
    do { result = .success(try await body(RawClient(port: try #require(port)))) } catch { result = .failure(error) }
    running.cancel()
    do { try await running.value } catch is CancellationError {}
    return try result.get()
}
