/// An error of a call, in the terms of gRPC and Connect.
public struct CallError: Error, Hashable, Sendable {
    /// The codes that the ledger uses.
    ///
    /// Clients repeat a call after `unavailable` and, in Tilebox's SDK, after `resource_exhausted`.
    public enum Code: String, CaseIterable, Sendable {
        case unknown
        case invalidArgument = "invalid_argument"
        case deadlineExceeded = "deadline_exceeded"
        case notFound = "not_found"
        case permissionDenied = "permission_denied"
        case resourceExhausted = "resource_exhausted"
        case unimplemented
        case `internal`
        case unavailable
        case unauthenticated

        /// The number of the code in gRPC.
        public var number: Int {
            switch self {
            case .unknown: 2
            case .invalidArgument: 3
            case .deadlineExceeded: 4
            case .notFound: 5
            case .permissionDenied: 7
            case .resourceExhausted: 8
            case .unimplemented: 12
            case .internal: 13
            case .unavailable: 14
            case .unauthenticated: 16
            }
        }

        /// The status of HTTP that Connect assigns to the code.
        public var status: Int {
            switch self {
            case .unknown, .internal: 500
            case .invalidArgument: 400
            case .deadlineExceeded: 504
            case .notFound: 404
            case .permissionDenied: 403
            case .resourceExhausted: 429
            case .unimplemented: 501
            case .unavailable: 503
            case .unauthenticated: 401
            }
        }

        /// The code for a status of HTTP.
        public init(status: Int) {
            self =
                switch status {
                case 400, 415, 422: .invalidArgument
                case 401: .unauthenticated
                case 403: .permissionDenied
                case 404, 410: .notFound
                case 408, 504: .deadlineExceeded
                case 413: .resourceExhausted
                case 429, 503: .unavailable
                case 500: .internal
                case 501: .unimplemented
                default: .unknown
                }
        }
    }

    public var code: Code
    /// A sentence for people.
    public var message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The message as the value of `grpc-message`.
    ///
    /// Visible ASCII remains, and everything else is in percent encoding.
    public var encodedMessage: String {
        var result = ""
        for byte in message.utf8 {
            if (0x20...0x7E).contains(byte), byte != UInt8(ascii: "%") {
                result.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                let digits = String(byte, radix: 16, uppercase: true)
                result += "%\(byte < 16 ? "0" : "")\(digits)"
            }
        }
        return result
    }
}
