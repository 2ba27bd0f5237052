internal import HTTPTypes
internal import Hummingbird
internal import HummingbirdCore
internal import LedgerWire
internal import NIOCore
internal import Synchronization

/// Reads the bodies of requests within limits of size, time and total memory.
struct BodyCollector: Sendable {
    /// The memory that a body of unknown length reserves at first, in bytes.
    private static let firstBytes = 65_536

    private let settings: ServerSettings
    private let budget: BodyBudget

    init(settings: ServerSettings, budget: BodyBudget) {
        self.settings = settings
        self.budget = budget
    }

    /// Reads a whole body.
    func body(of request: Request, allowsLines: Bool) async throws -> RequestContent {
        let format = try Self.format(of: request, allowsLines: allowsLines)
        let length = request.headers[.contentLength].flatMap { Int($0) }
        if let length, length > settings.bodyBytesMax { throw HTTPProblem.tooLarge(settings.bodyBytesMax) }
        guard let share = budget.reserve(length ?? Self.firstBytes) else { throw Self.overloaded }
        do {
            return RequestContent(try await read(request.body, length, share), format, share)
        } catch is BodyTimeout {
            throw HTTPProblem(
                .requestTimeout, "Too slow",
                "Nothing was recorded: the body did not arrive within \(settings.bodyDeadline).",
                headers: [.connection: "close"])
        } catch let broken as UnreadableRequest {
            throw broken.problem
        } catch let problem as HTTPProblem {
            throw problem
        } catch {
            // A connection throws other errors only when its client has disconnected.
            throw HTTPProblem.malformed("the connection was closed")
        }
    }

    private func read(_ body: RequestBody, _ length: Int?, _ share: BodyBudget.Share) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(length ?? Self.firstBytes)
        for try await part in body {
            let count = bytes.count + part.readableBytes
            guard count <= settings.bodyBytesMax else { throw HTTPProblem.tooLarge(settings.bodyBytesMax) }
            if count > bytes.capacity {
                // The capacity is set explicitly, because an append could allocate more than was reserved.
                let capacity = min(max(count, 2 * bytes.capacity), settings.bodyBytesMax)
                guard share.grow(to: capacity) else { throw Self.overloaded }
                bytes.reserveCapacity(capacity)
            }
            bytes.append(contentsOf: part.readableBytesView)
        }
        return bytes
    }

    private static func format(of request: Request, allowsLines: Bool) throws(HTTPProblem) -> EventRequest.Format {
        let accepted = allowsLines ? "application/json or application/x-ndjson" : "application/json"
        if let encoding = request.headers[.contentEncoding], encoding.lowercased() != "identity" {
            throw HTTPProblem(.unsupportedMediaType, "Unsupported encoding", "Send the body without Content-Encoding.")
        }
        let type = MediaType(request.headers[.contentType] ?? "")
        guard let format = type.format(allowsLines: allowsLines) else {
            throw HTTPProblem(
                .unsupportedMediaType, "Unsupported media type",
                "Send the body with Content-Type: \(accepted)\(type.name.isEmpty ? "" : ", not \(type.name)").")
        }
        return format
    }

    private static var overloaded: HTTPProblem {
        var headers = HTTPFields(retryAfter: .seconds(1))
        headers[.connection] = "close"
        return HTTPProblem(
            .serviceUnavailable, "Overloaded",
            "Nothing was recorded: the bodies of other requests fill the memory. Try again later.", headers: headers)
    }
}

/// The media type of a body, without its parameters.
struct MediaType {
    /// In lower case: `application/json`.
    let name: String

    init(_ field: String) {
        // The value of nearly all requests.
        guard field != "application/json" else {
            name = field
            return
        }
        let name = field.utf8.prefix { $0 != UInt8(ascii: ";") }
        self.name = String(decoding: name.filter { $0 != 0x20 && $0 != 0x09 }, as: UTF8.self).lowercased()
    }

    /// The format of a body of this type; nil if the ledger does not read it.
    ///
    /// - Parameter allowsLines: Whether the route reads NDJSON.
    func format(allowsLines: Bool) -> EventRequest.Format? {
        switch name {
        case "application/json": .json
        case "application/x-ndjson" where allowsLines: .lines
        default: nil
        }
    }
}

/// The body of a request.
///
/// It is parsed once and then released: a request that waits for the ledger needs the parsed content, not the body.
final class RequestContent: Sendable {
    private struct Whole: Sendable {
        let bytes: [UInt8]
        let share: BodyBudget.Share
    }

    /// The maximum length of a body that is parsed on its event loop, in bytes.
    ///
    /// Parsing a longer body would delay other connections.
    private static let parsedOnLoopMax = 16_384

    let format: EventRequest.Format
    private let whole: Mutex<Whole?>

    init(_ bytes: [UInt8], _ format: EventRequest.Format, _ share: BodyBudget.Share) {
        self.format = format
        whole = Mutex(Whole(bytes: bytes, share: share))
    }

    /// Parses the body and releases it.
    func read<R: Sendable>(
        _ parse: @Sendable ([UInt8], EventRequest.Format) throws(RequestError) -> R
    ) async throws(RequestError) -> R {
        let taken = whole.withLock { whole in
            defer { whole = nil }
            return whole
        }
        defer { withExtendedLifetime(taken?.share) {} }
        let (bytes, format) = (taken?.bytes ?? [], format)
        guard bytes.count > Self.parsedOnLoopMax else { return try parse(bytes, format) }
        return try await ComputeExecutor.run { () throws(RequestError) in try parse(bytes, format) }
    }
}
