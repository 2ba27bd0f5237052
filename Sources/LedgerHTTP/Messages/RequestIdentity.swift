internal import HTTPTypes
internal import Logging
internal import NIOHTTP1
internal import Synchronization

/// The id of a request, and the trace that it belongs to.
///
/// Every log line about the request and every problem contain them. Most requests need neither, so the fast path makes
/// an identity only for them, and its texts are made when they are written.
struct RequestIdentity: Sendable {
    /// The trace context of the request; nil without a valid one.
    var trace: TraceContext? { traceparent.flatMap { TraceContext($0) } }

    private let number: UInt64
    /// The id that a trusted proxy has given the request.
    private var given: String?
    private var traceparent: String?

    /// The source of the ids. It begins anywhere, so that processes have different ids.
    private static let numbers = Atomic<UInt64>(.random(in: 0 ... .max))
    /// The distance of two ids: an odd number, so that none returns before all others.
    ///
    /// An id that was simply one higher would show clients the number of requests.
    private static let step: UInt64 = 0x9E37_79B9_7F4A_7C15

    /// Creates the identity of a request with an unreadable head.
    init() {
        number = Self.numbers.wrappingAdd(Self.step, ordering: .relaxed).oldValue
    }

    /// Creates the identity of a request with these header fields.
    ///
    /// ``MessageValidator`` has removed an `X-Request-Id` that does not come from a trusted proxy.
    init(_ fields: HTTPFields) {
        self.init(fields.lazy.map { ($0.name.rawName, $0.value) })
    }

    /// Creates the identity of a request that has no ``HTTPFields`` yet.
    init(_ headers: HTTPHeaders) {
        self.init(headers.lazy.map { ($0.name, $0.value) })
    }

    private init(_ fields: some Sequence<(String, String)>) {
        self.init()
        var (ids, traces) = (0, 0)
        for (name, value) in fields {
            switch name.utf8.count {
            case 11 where name.isField("traceparent"):
                traceparent = value
                traces += 1
            case 12 where name.isField("x-request-id"):
                given = value
                ids += 1
            default: break
            }
        }
        // A field that is given twice has no certain value.
        if ids > 1 || !Self.isValid(given ?? "") { given = nil }
        if traces > 1 { traceparent = nil }
    }

    /// The id: of a trusted proxy, or 16 hexadecimal digits.
    var id: String {
        if let given { return given }
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }

    /// The logger for a log line about the request.
    func logger(_ logger: Logger) -> Logger {
        var logger = logger
        // The id that Hummingbird gives to routed requests only.
        logger[metadataKey: "hb.request.id"] = nil
        logger[metadataKey: "request.id"] = "\(id)"
        if let trace { logger[metadataKey: "trace.id"] = "\(trace.traceID)" }
        return logger
    }

    /// The maximum length of an id from a proxy, in characters.
    private static let idMax = 128

    /// Whether an id from a proxy can be written to logs and headers as it is.
    private static func isValid(_ id: String) -> Bool {
        (1...idMax).contains(id.utf8.count)
            && id.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"):
                    true
                default: "-._~+/=:".utf8.contains(byte)
                }
            }
    }
}

extension HTTPField.Name {
    static let requestID = literal("X-Request-Id")
}
