import LedgerWire

/// A message of a client of the Model Context Protocol: one line of JSON-RPC 2.0.
enum MCPMessage: Equatable, Sendable {
    /// A call that needs a response.
    case request(id: MCPRequestID, method: String, parameters: JSONValue)
    /// A call that gets none.
    case notification(method: String, parameters: JSONValue)
    /// A response. It is ignored, because this server makes no requests.
    case response
    /// A line that is no message.
    case invalid(id: MCPRequestID?, MCPError)

    /// Parses a line.
    init(_ line: [UInt8]) {
        let value: JSONValue
        do throws(JSONError) { value = try JSONReader.read(line) } catch {
            self = .invalid(id: nil, MCPError(.parseError, "The line is not JSON: \(error)."))
            return
        }
        let id = value["id"].flatMap { MCPRequestID($0) }
        guard case .object = value, value["jsonrpc"]?.text == "2.0" else {
            self = .invalid(id: id, MCPError(.invalidRequest, "The line is not an object with \"jsonrpc\": \"2.0\"."))
            return
        }
        let parameters = value["params"] ?? .object([])
        guard let method = value["method"]?.text else {
            let isResponse = id != nil && (value["result"] != nil || value["error"] != nil)
            self = isResponse ? .response : .invalid(id: id, MCPError(.invalidRequest, "The message has no method."))
            return
        }
        guard case .object = parameters else {
            self = .invalid(id: id, MCPError(.invalidRequest, "The params are not an object."))
            return
        }
        switch (value["id"], id) {
        case (nil, _): self = .notification(method: method, parameters: parameters)
        case (_, let id?): self = .request(id: id, method: method, parameters: parameters)
        case (_, nil): self = .invalid(id: nil, MCPError(.invalidRequest, "The id is neither a string nor an integer."))
        }
    }
}

/// The id of a request, by which its response names it.
enum MCPRequestID: Hashable, Sendable {
    case number(Int128)
    case text(String)

    init?(_ value: JSONValue) {
        switch value {
        case .integer(let number): self = .number(number)
        case .string(let text): self = .text(text)
        default: return nil
        }
    }

    func write(to writer: inout JSONWriter) {
        switch self {
        case .number(let number): writer.integer(number)
        case .text(let text): writer.string(text)
        }
    }
}

/// An error of the protocol.
///
/// A tool that fails has a result instead, which its caller can read.
struct MCPError: Error, Equatable, Sendable {
    /// The codes of JSON-RPC and of the Model Context Protocol.
    enum Code: Int, Sendable {
        case parseError = -32_700
        case invalidRequest = -32_600
        case methodNotFound = -32_601
        case invalidParameters = -32_602
        /// The server carries out as many calls as it may.
        case busy = -32_000
        case unsupportedVersion = -32_022
    }

    let code: Code
    let message: String
    /// The version that the client requested, if it is not supported.
    var requestedVersion: String?

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }
}
