import NIOCore
import NIOHTTP1

/// An HTTP request to a ledger's server.
package struct LedgerRequest: Sendable {
    /// The purpose, to complete "Cannot …", for example `append to job …`.
    let purpose: String
    let method: HTTPMethod
    /// The percent-encoded path and query, without the server's prefix.
    let path: String
    var headers: [(name: String, value: String)] = []
    var body: ByteBuffer?
    /// Whether carrying it out twice has the same effect as once.
    let isSafeToRepeat: Bool
    /// The time that the server may wait on purpose before it responds.
    var wait: Duration = .zero
    /// Whether a failure is final, because the caller needs the error at once.
    var isTriedOnce = false

    /// The header by which the server recognises a repeated request.
    static let idempotencyKey = "idempotency-key"

    /// Whether the request has a key by which the server recognises a repetition.
    ///
    /// If the caller asks again, that is another request.
    var hasIdempotencyKey: Bool { headers.contains { $0.name == Self.idempotencyKey } }

    /// Whether the request changes the ledger.
    var isWrite: Bool { method != .GET }

    /// Whether the request names a resource that may not exist, such as a job.
    var namesResource: Bool {
        path.hasPrefix("/v1/jobs/") || path.hasPrefix("/v1/replays/") || path.hasPrefix("/v1/events")
            || path.hasPrefix("/v1/imports") || path.hasPrefix("/v1/subscriptions/")
    }

    static func get(_ purpose: String, _ path: String, query: Query = Query()) -> LedgerRequest {
        LedgerRequest(purpose: purpose, method: .GET, path: path + query.text, isSafeToRepeat: true)
    }

    static func post(
        _ purpose: String, _ path: String, query: Query = Query(), json: [UInt8], isSafeToRepeat: Bool
    ) -> LedgerRequest {
        LedgerRequest(
            purpose: purpose, method: .POST, path: path + query.text, headers: [("content-type", "application/json")],
            body: ByteBuffer(bytes: json), isSafeToRepeat: isSafeToRepeat)
    }

    /// The query parameters, without absent ones.
    struct Query: Sendable {
        private(set) var text = ""

        init() {}

        mutating func add(_ name: String, _ value: String?) {
            guard let value else { return }
            text += text.isEmpty ? "?" : "&"
            text += Self.encode(name) + "=" + Self.encode(value)
        }

        /// Percent-encodes everything except the unreserved characters of RFC 3986.
        static func encode(_ text: String) -> String {
            let digits = Array("0123456789ABCDEF".utf8)
            var encoded: [UInt8] = []
            encoded.reserveCapacity(text.utf8.count)
            for byte in text.utf8 {
                switch byte {
                case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                    UInt8(ascii: "~"):
                    encoded.append(byte)
                default:
                    encoded += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
                }
            }
            return String(decoding: encoded, as: UTF8.self)
        }
    }
}
