import Ledger
import LedgerHTTP
import LedgerWire

/// The decisions of a server of the Model Context Protocol.
///
/// It serves two kinds of clients: those that begin with `initialize`, and those of version 2026-07-28, which name
/// their version in each request instead. A session has no other state than the calls in progress, so a request needs
/// no handshake before it.
struct MCPSession {
    /// The versions without a handshake, the newest one first.
    static let versions = ["2026-07-28"]
    /// The versions with a handshake, the newest one first.
    ///
    /// Earlier ones demand batches of requests.
    static let handshakeVersions = ["2025-11-25", "2025-06-18"]
    /// The maximum number of calls in progress.
    static let callsMax = 16

    /// The reaction to a line.
    enum Step: Equatable {
        /// Writes a line.
        case respond([UInt8])
        /// Calls a tool, and responds with its result.
        case call(MCPRequestID, MCPTool, arguments: JSONValue, isStateless: Bool)
        /// Cancels a call, which then gets no response.
        case cancel(MCPRequestID)
        case ignore
    }

    private var calls: Set<MCPRequestID> = []

    /// Decides about a line.
    mutating func receive(_ line: MCPInput.Line) -> Step {
        switch line {
        case .tooLong:
            let limit = MCPInput.lineBytesMax
            return .respond(Self.response(nil, MCPError(.parseError, "The line is longer than \(limit) bytes.")))
        case .text(let bytes): return receive(MCPMessage(bytes))
        case .end: return .ignore
        }
    }

    private mutating func receive(_ message: MCPMessage) -> Step {
        switch message {
        case .response: return .ignore
        case .invalid(let id, let error): return .respond(Self.response(id, error))
        case .notification(let method, let parameters):
            guard method == "notifications/cancelled", let id = parameters["requestId"].flatMap({ MCPRequestID($0) }),
                calls.remove(id) != nil
            else { return .ignore }
            return .cancel(id)
        case .request(let id, let method, let parameters):
            do throws(MCPError) {
                return try step(id, method, parameters)
            } catch {
                return .respond(Self.response(id, error))
            }
        }
    }

    private mutating func step(
        _ id: MCPRequestID, _ method: String, _ parameters: JSONValue
    ) throws(MCPError) -> Step {
        let isStateless = try Self.isStateless(parameters)
        switch method {
        case "initialize": return .respond(Self.initialized(id, parameters["protocolVersion"]?.text))
        case "server/discover": return .respond(Self.discovered(id))
        case "ping": return .respond(Self.response(id, isStateless) { _ in })
        case "tools/list":
            return .respond(
                Self.response(id, isStateless) { writer in
                    writer.name("tools")
                    writer.array(MCPTool.allCases) { $1.write(to: &$0) }
                    if isStateless { Self.writeCaching(to: &writer) }
                })
        case "tools/call":
            guard let tool = parameters["name"]?.text.flatMap({ MCPTool(rawValue: $0) }) else {
                let names = MCPTool.allCases.map(\.rawValue).joined(separator: ", ")
                throw MCPError(.invalidParameters, "There is no such tool. Expected one of \(names).")
            }
            guard !calls.contains(id) else { throw MCPError(.invalidRequest, "A call with this id is in progress.") }
            guard calls.count < Self.callsMax else {
                throw MCPError(.busy, "\(Self.callsMax) calls are in progress. Wait for one of them.")
            }
            calls.insert(id)
            return .call(id, tool, arguments: parameters["arguments"] ?? .object([]), isStateless: isStateless)
        default: throw MCPError(.methodNotFound, "There is no such method.")
        }
    }

    /// Records the end of a call.
    ///
    /// - Returns: Whether the call needs its response; not if it was canceled.
    mutating func finish(_ id: MCPRequestID) -> Bool { calls.remove(id) != nil }

    /// Whether the request names its version, as without a handshake.
    private static func isStateless(_ parameters: JSONValue) throws(MCPError) -> Bool {
        guard let version = parameters["_meta"]?["io.modelcontextprotocol/protocolVersion"]?.text else { return false }
        guard versions.contains(version) else {
            var error = MCPError(.unsupportedVersion, "The version of the protocol is not supported.")
            error.requestedVersion = version
            throw error
        }
        return true
    }

    // MARK: Responses

    private static func initialized(_ id: MCPRequestID, _ requested: String?) -> [UInt8] {
        // A client that does not know the version of the response must disconnect.
        let version = handshakeVersions.first { $0 == requested } ?? handshakeVersions[0]
        return response(id, false) { writer in
            writer.field("protocolVersion", version)
            writeCapabilities(to: &writer)
            writer.name("serverInfo")
            writeServer(to: &writer)
        }
    }

    private static func discovered(_ id: MCPRequestID) -> [UInt8] {
        response(id, true) { writer in
            writer.name("supportedVersions")
            writer.array(versions) { $0.string($1) }
            writeCapabilities(to: &writer)
            writeCaching(to: &writer)
        }
    }

    private static func writeCapabilities(to writer: inout JSONWriter) {
        writer.name("capabilities")
        writer.object { writer in
            writer.name("tools")
            writer.object { $0.field("listChanged", false) }
        }
        writer.field("instructions", instructions)
    }

    /// Writes that the response may be kept for an hour, and shared.
    ///
    /// The tools do not change while the process runs, and are the same for all callers.
    private static func writeCaching(to writer: inout JSONWriter) {
        writer.field("ttlMs", 3_600_000)
        writer.field("cacheScope", "public")
    }

    private static func writeServer(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("name", "progress-ledger")
            writer.field("title", "Progress ledger")
            writer.field("version", ProductVersion.current.description)
        }
    }

    private static let instructions = """
        Reads the progress of distributed jobs: how far, when done, whether that is true, what holds it up, what failed. \
        Find a job with find_jobs, then use answer. Respect ask_again_seconds instead of asking in a loop. \
        \(MCPTools.note)
        """

    /// The response with a tool's result.
    static func response(_ id: MCPRequestID, _ result: MCPToolResult, isStateless: Bool) -> [UInt8] {
        response(id, isStateless) { writer in
            writer.name("content")
            writer.array([result.text]) { writer, text in
                writer.object { writer in
                    writer.field("type", "text")
                    writer.field("text", text)
                }
            }
            if let structured = result.structured {
                writer.name("structuredContent")
                writer.object(structured)
            }
            writer.field("isError", result.structured == nil)
        }
    }

    private static func response(
        _ id: MCPRequestID, _ isStateless: Bool, _ fields: (inout JSONWriter) -> Void
    ) -> [UInt8] {
        line { writer in
            writer.name("id")
            id.write(to: &writer)
            writer.name("result")
            writer.object { writer in
                fields(&writer)
                guard isStateless else { return }
                writer.field("resultType", "complete")
                writer.name("_meta")
                writer.object { writer in
                    writer.name("io.modelcontextprotocol/serverInfo")
                    writeServer(to: &writer)
                }
            }
        }
    }

    private static func response(_ id: MCPRequestID?, _ error: MCPError) -> [UInt8] {
        line { writer in
            writer.name("id")
            if let id { id.write(to: &writer) } else { writer.null() }
            writer.name("error")
            writer.object { writer in
                writer.field("code", error.code.rawValue)
                writer.field("message", error.message)
                guard let requested = error.requestedVersion else { return }
                writer.name("data")
                writer.object { writer in
                    writer.name("supported")
                    writer.array(versions) { $0.string($1) }
                    writer.field("requested", requested.excerpt)
                }
            }
        }
    }

    private static func line(_ fields: (inout JSONWriter) -> Void) -> [UInt8] {
        var writer = JSONWriter()
        writer.object { writer in
            writer.field("jsonrpc", "2.0")
            fields(&writer)
        }
        return writer.bytes
    }
}
