internal import HTTPTypes
internal import NIOCore
internal import NIOHTTP1

extension HTTPRequestHead {
    /// The result of checking a request against the rules of HTTP.
    struct Rules {
        /// The reason for refusing the request; nil if it is valid.
        var problem: HTTPProblem?
        /// Whether the connection stays open after the response.
        var keepsAlive: Bool
        /// Whether the parser takes the following bytes for another protocol.
        var isUpgrade: Bool
        /// The value of `Host`.
        var host: String?
        /// Whether a browser has named the origin of the page that sends the request.
        var hasOrigin: Bool
        /// Whether a field names the request.
        var hasRequestID: Bool
    }

    /// Checks the rules of HTTP for all requests, in one pass over the header.
    ///
    /// They are in RFC 9112, sections 3.2, 6.1 and 6.3, and in RFC 9110, sections 7.8 and 9.3.6.
    ///
    /// - Parameter validHost: A host that is known to be valid. Most requests of a connection have the same one.
    func rules(bodyBytesMax: Int, validHost: String? = nil) -> Rules {
        var host: String?
        var hostCount = 0
        var isUpgradeNamed = false
        var hasUpgrade = false
        var hasOrigin = false
        var hasRequestID = false
        var problem: HTTPProblem?
        for (name, value) in headers {
            switch name.utf8.count {
            case 4 where name.lowercased() == "host":
                host = host ?? value
                hostCount += 1
            case 6 where name.lowercased() == "origin": hasOrigin = true
            case 7 where name.lowercased() == "upgrade": hasUpgrade = true
            case 10 where value != "keep-alive" && name.lowercased() == "connection":
                isUpgradeNamed = isUpgradeNamed || Self.tokens(value).contains("upgrade")
            case 12 where name.lowercased() == "x-request-id": hasRequestID = true
            case 14 where name.lowercased() == "content-length":
                // A length that no integer can hold is too large as well.
                if Int(value).map({ $0 > bodyBytesMax }) ?? true { problem = .tooLarge(bodyBytesMax) }
            case 17 where name.lowercased() == "transfer-encoding":
                if version == .http1_0 || Self.tokens(value) != ["chunked"] {
                    problem = .malformed("the only supported transfer coding is chunked")
                }
            default: break
            }
        }
        if hostCount != 1 || host != validHost, let detail = Self.problem(of: host, count: hostCount, version) {
            problem = .malformed(detail)
        }
        if method == .CONNECT {
            problem = HTTPProblem(
                .methodNotAllowed, "Method not allowed", "This server is not a proxy.",
                headers: [.allow: "DELETE, GET, HEAD, OPTIONS, POST"])
        }
        return Rules(
            problem: problem, keepsAlive: isKeepAlive,
            isUpgrade: method == .CONNECT || (hasUpgrade && isUpgradeNamed), host: host, hasOrigin: hasOrigin,
            hasRequestID: hasRequestID)
    }

    /// Reduces an absolute target to its path and query, and moves its host to `Host`.
    ///
    /// The host of the target counts and `Host` is ignored: RFC 9112, section 3.2.2. A request without exactly one
    /// `Host` stays as it is, because the rules refuse it; HTTP/1.0 needs none.
    mutating func takeOriginForm() {
        guard uri.utf8.first != UInt8(ascii: "/"), let scheme = uri.firstRange(of: "://"),
            ["http", "https"].contains(uri[..<scheme.lowerBound].lowercased())
        else { return }
        let hostCount = headers["host"].count
        guard hostCount == 1 || hostCount == 0 && version == .http1_0 else { return }
        let rest = uri[scheme.upperBound...]
        let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        let target = rest[authority.endIndex...].prefix { $0 != "#" }
        headers.replaceOrAdd(name: "host", value: String(authority))
        uri = target.first == "/" ? String(target) : "/" + target
    }

    /// Removes the base path from the target.
    ///
    /// - Returns: A redirection to the pages if the target is the base path without its final slash, with which the
    ///   relative links of the pages begin.
    mutating func removeBasePath(_ basePath: String) -> HTTPProblem? {
        guard !basePath.isEmpty, uri.hasPrefix(basePath) else { return nil }
        let rest = uri.dropFirst(basePath.count)
        switch rest.first {
        case "/": uri = String(rest)
        case nil, "?":
            return HTTPProblem(
                .permanentRedirect, "Moved", "The pages are at \(basePath)/.",
                headers: [.location: "\(basePath)/\(rest)"])
        default: break
        }
        return nil
    }

    private static func tokens(_ value: String) -> [String] {
        value.lowercased().split(separator: ",").map { token in
            String(token.drop { $0 == " " || $0 == "\t" }.reversed().drop { $0 == " " || $0 == "\t" }.reversed())
        }
    }

    private static func problem(of host: String?, count: Int, _ version: HTTPVersion) -> String? {
        guard count < 2 else { return "the request has more than one Host header" }
        guard let host else {
            return version.major == 1 && version.minor == 0 ? nil : "the request has no Host header"
        }
        let isValid = host.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: "-._~!$&'()*+,;=:[]%".utf8.contains(byte)
            }
        }
        return isValid ? nil : "the Host header does not name a host"
    }
}

extension HTTPProblem {
    /// A message that breaks the rules of HTTP.
    static func malformed(_ detail: String) -> HTTPProblem {
        HTTPProblem(
            .badRequest, "Malformed request", "Nothing was recorded: \(detail).", headers: [.connection: "close"])
    }

    /// A body that exceeds the server's limit.
    static func tooLarge(_ bodyBytesMax: Int) -> HTTPProblem {
        HTTPProblem(
            .contentTooLarge, "Too large",
            "Nothing was recorded: the body exceeds \(bodyBytesMax) bytes. Split it into several requests.",
            headers: [.connection: "close"])
    }

    /// The problem of a message that cannot be parsed; nil for any other error.
    init?(parsing error: any Error) {
        switch error {
        case RequestTooLarge.target:
            self.init(
                .uriTooLong, "Address too long",
                "The path with its query exceeds \(HTTPMessageDecoder.fieldBytesMax) bytes. Shorten the query.",
                headers: [.connection: "close"])
        case RequestTooLarge.header:
            self.init(
                .requestHeaderFieldsTooLarge, "Header too large",
                "The header exceeds \(HTTPMessageDecoder.fieldsMax) fields, \(HTTPMessageDecoder.fieldBytesMax) bytes in a "
                    + "field, or \(HTTPMessageDecoder.headerBytesMax) bytes in total. Send a smaller header.",
                headers: [.connection: "close"])
        case HTTPParserError.invalidEOFState, HTTPParserError.closedConnection:
            self = .malformed("the request ended early")
        case HTTPParserError.invalidChunkSize:
            self = .malformed("the size of a chunk is invalid")
        case HTTPParserError.invalidVersion:
            self = .malformed("the version of HTTP is not supported; use HTTP/1.1")
        case HTTPParserError.invalidHeaderToken:
            self = .malformed("the header contains an invalid character")
        case is HTTPParserError, is ByteToMessageDecoderError:
            self = .malformed("the request is not valid HTTP/1.1")
        default: return nil
        }
    }
}
