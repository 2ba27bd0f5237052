internal import HTTPTypes
internal import Hummingbird
internal import HummingbirdCore
internal import LedgerWire
internal import NIOCore
internal import Synchronization

/// Takes in the bodies of requests: each bounded in size and time, and all together in memory.
final class BodyIntake: Sendable {
    private let settings: ServerSettings
    private let bytesInFlight = Mutex(0)

    init(settings: ServerSettings) {
        self.settings = settings
    }

    /// Reads a body whole and hands it over with its format.
    func withBody<R: Sendable>(
        of request: Request, allowsLines: Bool, _ body: ([UInt8], EventRequest.Format) async throws -> R
    ) async throws -> R {
        let format = try Self.format(of: request, allowsLines: allowsLines)
        if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > settings.bodyBytesMax {
            throw tooLarge
        }
        var reserved = 0
        defer { give(back: reserved) }
        let bytes = try await collect(request.body, &reserved)
        return try await body(bytes, format)
    }

    private static func format(of request: Request, allowsLines: Bool) throws(HTTPProblem) -> EventRequest.Format {
        let accepted = allowsLines ? "application/json or application/x-ndjson" : "application/json"
        if let encoding = request.headers[.contentEncoding], encoding.lowercased() != "identity" {
            throw HTTPProblem(.unsupportedMediaType, "Unsupported encoding", "Send the body without Content-Encoding.")
        }
        let type = (request.headers[.contentType] ?? "").split(separator: ";").first?.lowercased() ?? ""
        switch type.filter({ $0 != " " }) {
        case "application/json": return .json
        case "application/x-ndjson" where allowsLines: return .lines
        default:
            throw HTTPProblem(
                .unsupportedMediaType, "Unsupported media type",
                "Send the body with Content-Type: \(accepted)\(type.isEmpty ? "" : ", not \(type)").")
        }
    }

    private func collect(_ body: RequestBody, _ reserved: inout Int) async throws -> [UInt8] {
        do {
            let (bytes, taken) = try await read(body)
            reserved = taken
            return bytes
        } catch is SlowRequest {
            throw HTTPProblem(
                .requestTimeout, "Too slow",
                "Nothing was taken: the body did not arrive within \(settings.bodyDeadline).",
                headers: [.connection: "close"])
        }
    }

    private func read(_ body: RequestBody) async throws -> ([UInt8], Int) {
        var bytes: [UInt8] = []
        var reserved = 0
        do {
            for try await part in body {
                guard bytes.count + part.readableBytes <= settings.bodyBytesMax else { throw tooLarge }
                try reserve(part.readableBytes)
                reserved += part.readableBytes
                bytes.append(contentsOf: part.readableBytesView)
            }
        } catch {
            give(back: reserved)
            throw error
        }
        return (bytes, reserved)
    }

    private var tooLarge: HTTPProblem {
        HTTPProblem(
            .contentTooLarge, "Too large",
            "Nothing was taken: a body has at most \(settings.bodyBytesMax) bytes. Send several.",
            headers: [.connection: "close"])
    }

    private func reserve(_ count: Int) throws(HTTPProblem) {
        let isTaken = bytesInFlight.withLock { bytes in
            guard bytes + count <= settings.bodiesBytesMax else { return false }
            bytes += count
            return true
        }
        guard isTaken else {
            throw HTTPProblem(
                .serviceUnavailable, "Overloaded", "The bodies of other requests fill the memory; nothing was taken.",
                headers: HTTPFields(retryAfter: .seconds(1)))
        }
    }

    private func give(back count: Int) {
        bytesInFlight.withLock { $0 -= count }
    }
}
