internal import HTTPTypes
internal import NIOCore
internal import NIOHTTP1

extension HTTPRequestHead {
    /// What the server has to know of a request before anything else looks at it.
    struct Rules {
        /// Why the request is refused; nil where it is not.
        var problem: HTTPProblem?
        /// Whether the connection goes on after the response.
        var keepsAlive: Bool
        /// Whether the parser takes what follows for another protocol.
        var isUpgrade: Bool
    }

    /// Checks what HTTP asks of every request (RFC 9112, sections 3.2, 6.1 and 6.3; RFC 9110, sections 7.8 and 9.3.6), in
    /// one pass over the header.
    func rules(bodyBytesMax: Int) -> Rules {
        var hosts: [String] = []
        var isUpgradeNamed = false
        var hasUpgrade = false
        var problem: HTTPProblem?
        for (name, value) in headers {
            switch name.utf8.count {
            case 4 where name.lowercased() == "host": hosts.append(value)
            case 7 where name.lowercased() == "upgrade": hasUpgrade = true
            case 10 where name.lowercased() == "connection":
                isUpgradeNamed = isUpgradeNamed || Self.tokens(value).contains("upgrade")
            case 14 where name.lowercased() == "content-length":
                // One that no integer holds is too large as well.
                if Int(value).map({ $0 > bodyBytesMax }) ?? true { problem = .tooLarge(bodyBytesMax) }
            case 17 where name.lowercased() == "transfer-encoding":
                if version == .http1_0 || Self.tokens(value) != ["chunked"] {
                    problem = .malformed("a transfer coding other than chunked is not known here")
                }
            default: break
            }
        }
        if let wrong = Self.problem(ofHosts: hosts, version) { problem = .malformed(wrong) }
        if method == .CONNECT {
            problem = HTTPProblem(
                .methodNotAllowed, "Method not allowed", "This server is no proxy.",
                headers: [.allow: "DELETE, GET, HEAD, OPTIONS, POST"])
        }
        return Rules(
            problem: problem, keepsAlive: isKeepAlive,
            isUpgrade: method == .CONNECT || (hasUpgrade && isUpgradeNamed))
    }

    private static func tokens(_ value: String) -> [String] {
        value.lowercased().split(separator: ",").map { token in
            String(token.drop { $0 == " " || $0 == "\t" }.reversed().drop { $0 == " " || $0 == "\t" }.reversed())
        }
    }

    private static func problem(ofHosts hosts: [String], _ version: HTTPVersion) -> String? {
        guard hosts.count < 2 else { return "it has more than one Host header" }
        guard let host = hosts.first else {
            return version.major == 1 && version.minor == 0 ? nil : "it has no Host header"
        }
        let isFit = host.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: "-._~!$&'()*+,;=:[]%".utf8.contains(byte)
            }
        }
        return isFit ? nil : "its Host header names no host"
    }
}

extension HTTPProblem {
    /// A message that breaks the rules of HTTP.
    static func malformed(_ detail: String) -> HTTPProblem {
        HTTPProblem(.badRequest, "Unreadable", "Nothing was taken: \(detail).", headers: [.connection: "close"])
    }

    /// A body that is longer than the server reads.
    static func tooLarge(_ bodyBytesMax: Int) -> HTTPProblem {
        HTTPProblem(
            .contentTooLarge, "Too large",
            "Nothing was taken: a body has at most \(bodyBytesMax) bytes. Send several.",
            headers: [.connection: "close"])
    }

    /// What is wrong with a message that could not be parsed; nil where the error is another one.
    init?(parsing error: any Error) {
        switch error {
        case RequestTooLarge.target:
            self.init(
                .uriTooLong, "Too long",
                "The path with its query has more than \(HTTPMessageDecoder.fieldBytesMax) bytes.",
                headers: [.connection: "close"])
        case RequestTooLarge.header:
            self.init(
                .requestHeaderFieldsTooLarge, "Header too large",
                "A header has at most \(HTTPMessageDecoder.fieldsMax) fields of \(HTTPMessageDecoder.fieldBytesMax) bytes, "
                    + "and \(HTTPMessageDecoder.headerBytesMax) bytes in all.", headers: [.connection: "close"])
        case HTTPParserError.invalidEOFState, HTTPParserError.closedConnection:
            self = .malformed("the request broke off")
        case HTTPParserError.invalidChunkSize:
            self = .malformed("the size of a chunk cannot be read")
        case HTTPParserError.invalidVersion:
            self = .malformed("this server speaks HTTP/1.1")
        case HTTPParserError.invalidHeaderToken:
            self = .malformed("its header holds a character that no header may hold")
        case is HTTPParserError, is ByteToMessageDecoderError:
            self = .malformed("it is not HTTP/1.1")
        default: return nil
        }
    }
}
