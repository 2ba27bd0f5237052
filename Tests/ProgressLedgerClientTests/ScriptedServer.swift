import LedgerTestSupport
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// An HTTP server on the loopback address that reacts to requests by a script.
final class ScriptedServer: Sendable {
    /// A request as it arrived.
    struct Request: Sendable {
        let line: String
        let headers: HTTPHeaders
        let body: String
        /// The number of its connection: 1, 2, 3 ….
        let connection: Int
    }

    /// The reaction to a request.
    enum Reaction: Sendable {
        case respond(_ status: Int, _ body: String = "{}", headers: [(String, String)] = [])
        /// Sends a head and pieces of a body, and then its end or a closed connection.
        case stream([String], isCut: Bool = false)
        /// Sends the same piece forever, as fast as the client reads.
        case endless(String)
        /// Closes the connection without a response.
        case drop
        /// Sends nothing.
        case silence
    }

    fileprivate struct State {
        var script: ArraySlice<Reaction>
        var requests: [Request] = []
        var connections = 0
        var bytesWritten = 0
    }

    let port: Int
    private let channel: any Channel
    private let state: StateBox

    private init(_ script: [Reaction]) async throws {
        let state = StateBox(script)
        self.state = state
        channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline(withPipeliningAssistance: false)
                    try channel.pipeline.syncOperations.addHandler(Handler(state))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        port = channel.localAddress!.port!
    }

    /// Runs a server while the body runs.
    static func with(_ script: Reaction..., body: (ScriptedServer) async throws -> Void) async throws {
        try await run(script, body: body)
    }

    /// Runs a server with a script as an array.
    static func run(_ script: [Reaction], body: (ScriptedServer) async throws -> Void) async throws {
        let server = try await ScriptedServer(script)
        do {
            try await body(server)
            try await server.channel.close()
        } catch {
            try await server.channel.close()
            throw error
        }
    }

    var url: String { "http://127.0.0.1:\(port)" }
    var requests: [Request] { state.value.withLock(\.requests) }
    var connectionCount: Int { state.value.withLock(\.connections) }
    var bytesWritten: Int { state.value.withLock(\.bytesWritten) }

    /// Waits until this number of requests has arrived.
    func waitForRequests(_ count: Int) async throws {
        try await eventually { self.requests.count >= count }
    }

    fileprivate final class StateBox: Sendable {
        let value: Mutex<State>

        init(_ script: [Reaction]) {
            value = Mutex(State(script: script[...]))
        }
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        private let state: StateBox
        private let number: Int
        private var head: HTTPRequestHead?
        private var body = ""
        private var endlessPiece: String?

        init(_ state: StateBox) {
            self.state = state
            number = state.value.withLock { state in
                state.connections += 1
                return state.connections
            }
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head):
                self.head = head
                body = ""
            case .body(let piece):
                body += String(buffer: piece)
            case .end:
                let head = head!
                let request = Request(
                    line: "\(head.method) \(head.uri)", headers: head.headers, body: body, connection: number)
                let reaction = state.value.withLock { state in
                    state.requests.append(request)
                    return state.script.popFirst()
                }
                react(reaction ?? .respond(500, "the script has ended"), context)
            }
        }

        private func react(_ reaction: Reaction, _ context: ChannelHandlerContext) {
            switch reaction {
            case .respond(let status, let body, let more):
                var headers = HTTPHeaders([
                    ("content-length", String(body.utf8.count)),
                    ("content-type", status >= 400 ? "application/problem+json" : "application/json"),
                ])
                for (name, value) in more { headers.replaceOrAdd(name: name, value: value) }
                if status == 304 { headers.remove(name: "content-length") }
                writeHead(status, headers, context)
                if status != 304 { write(body, context) }
                context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
                if headers.first(name: "connection") == "close" { context.close(promise: nil) }
            case .stream(let pieces, let isCut):
                writeHead(200, [:], context)
                for piece in pieces { write(piece, context) }
                context.flush()
                if isCut {
                    context.close(promise: nil)
                } else {
                    context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
                }
            case .endless(let piece):
                writeHead(200, [:], context)
                context.flush()
                endlessPiece = piece
                writeEndlessly(context)
            case .drop: context.close(promise: nil)
            case .silence: break
            }
        }

        private func writeHead(_ status: Int, _ headers: HTTPHeaders, _ context: ChannelHandlerContext) {
            let head = HTTPResponseHead(
                version: .http1_1, status: HTTPResponseStatus(statusCode: status), headers: headers)
            context.write(wrapOutboundOut(.head(head)), promise: nil)
        }

        private func write(_ text: String, _ context: ChannelHandlerContext) {
            state.value.withLock { $0.bytesWritten += text.utf8.count }
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: text)))), promise: nil)
        }

        private func writeEndlessly(_ context: ChannelHandlerContext) {
            guard let endlessPiece else { return }
            // A closed channel remains writable.
            while context.channel.isActive, context.channel.isWritable {
                write(endlessPiece, context)
                context.flush()
            }
        }

        func channelWritabilityChanged(context: ChannelHandlerContext) {
            writeEndlessly(context)
        }

        func channelInactive(context: ChannelHandlerContext) {
            endlessPiece = nil
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            context.close(promise: nil)
        }
    }
}
