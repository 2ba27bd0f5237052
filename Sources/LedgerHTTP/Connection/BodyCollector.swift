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

    /// Reads a whole body; nil if the route drops it.
    func content(of request: Request, _ body: Route.Body) async throws -> RequestContent? {
        let format = try Self.format(of: request, body)
        let length = request.headers[.contentLength].flatMap { Int($0) }
        let bytesMax = min(body.binary?.bytesMax ?? .max, settings.bodyBytesMax)
        if let length, length > bytesMax { throw HTTPProblem.tooLarge(bytesMax) }
        do {
            if body.binary?.isDropped == true {
                try await drop(request.body, bytesMax)
                return nil
            }
            guard let share = budget.reserve(length ?? Self.firstBytes) else { throw Self.overloaded }
            return RequestContent(try await read(request.body, length, bytesMax, share), format, share)
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

    private func drop(_ body: RequestBody, _ bytesMax: Int) async throws {
        var count = 0
        for try await part in body {
            count += part.readableBytes
            guard count <= bytesMax else { throw HTTPProblem.tooLarge(bytesMax) }
        }
    }

    private func read(
        _ body: RequestBody, _ length: Int?, _ bytesMax: Int, _ share: BodyBudget.Share
    ) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(length ?? Self.firstBytes)
        for try await part in body {
            let count = bytes.count + part.readableBytes
            guard count <= bytesMax else { throw HTTPProblem.tooLarge(bytesMax) }
            if count > bytes.capacity {
                // The capacity is set explicitly, because an append could allocate more than was reserved.
                let capacity = min(max(count, 2 * bytes.capacity), bytesMax)
                guard share.grow(to: capacity) else { throw Self.overloaded }
                bytes.reserveCapacity(capacity)
            }
            bytes.append(contentsOf: part.readableBytesView)
        }
        return bytes
    }

    /// The format of a body; that of a binary one is of no interest.
    private static func format(of request: Request, _ body: Route.Body) throws(HTTPProblem) -> EventRequest.Format {
        let type = MediaType(request.headers[.contentType] ?? "")
        if let binary = body.binary {
            guard binary.mediaTypes.contains(type.name) else {
                throw unsupported(type, accepted: binary.mediaTypes.joined(separator: " or "))
            }
            return .json
        }
        if let encoding = request.headers[.contentEncoding], encoding.lowercased() != "identity" {
            throw HTTPProblem(.unsupportedMediaType, "Unsupported encoding", "Send the body without Content-Encoding.")
        }
        guard let format = type.format(allowsLines: body.takesLines) else {
            throw unsupported(
                type, accepted: body.takesLines ? "application/json or application/x-ndjson" : "application/json")
        }
        return format
    }

    private static func unsupported(_ type: MediaType, accepted: String) -> HTTPProblem {
        HTTPProblem(
            .unsupportedMediaType, "Unsupported media type",
            "Send the body with Content-Type: \(accepted)\(type.name.isEmpty ? "" : ", not \(type.name)").")
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
    func read<R: Sendable, Failure: Error>(
        _ parse: @Sendable ([UInt8], EventRequest.Format) throws(Failure) -> R
    ) async throws(Failure) -> R {
        let taken = whole.withLock { whole in
            defer { whole = nil }
            return whole
        }
        defer { withExtendedLifetime(taken?.share) {} }
        let (bytes, format) = (taken?.bytes ?? [], format)
        guard bytes.count > Self.parsedOnLoopMax else { return try parse(bytes, format) }
        return try await ComputeExecutor.run { () throws(Failure) in try parse(bytes, format) }
    }
}
