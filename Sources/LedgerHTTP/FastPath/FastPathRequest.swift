internal import HTTPTypes
internal import Ledger

/// A request that the shortcut may answer: plainly one of those that most are.
enum FastPathRequest {
    /// A JSON body of this length, a small one, appended to a job.
    case append(to: JobID, length: Int)
    /// The snapshot of a job as it is now, counting the last executions; with what `If-None-Match` says, and the route
    /// that it is counted under.
    case snapshot(of: JobID, known: [String], route: String)

    /// The longest body that is taken: reading it must not keep other connections waiting.
    static let bodyBytesMax = 16_384

    static let appendRoute = "/v1/jobs/{job}/events"

    /// Nil for any other request.
    init?(_ head: HTTPRequest) {
        guard let path = FastPathURI(head) else { return nil }
        let end = path.end
        switch head.method {
        case .post:
            guard end.elementsEqual("/events".utf8), let length = Self.smallJSONLength(head.headerFields),
                let job = path.job
            else { return nil }
            self = .append(to: job, length: length)
        case .get:
            guard end.isEmpty || end.elementsEqual("/progress".utf8), let known = Self.knownTags(head.headerFields),
                let job = path.job
            else { return nil }
            self = .snapshot(
                of: job, known: known, route: end.isEmpty ? "/v1/jobs/{job}" : "/v1/jobs/{job}/progress")
        default: return nil
        }
    }

    /// The length of a small JSON body; nil where it is none.
    private static func smallJSONLength(_ fields: HTTPFields) -> Int? {
        var hasJSON = false
        var announced = 0
        for field in fields {
            switch field.name {
            case .contentType:
                let isJSON =
                    field.value.utf8.elementsEqual("application/json".utf8)
                    || MediaType(field.value).name == "application/json"
                guard isJSON, !hasJSON else { return nil }
                hasJSON = true
            case .contentLength:
                guard let length = Int(field.value), length <= bodyBytesMax else { return nil }
                announced = length
            default:
                guard field.isPlain else { return nil }
            }
        }
        return hasJSON ? announced : nil
    }

    /// What `If-None-Match` says; nil where the request wants more than a snapshot or none.
    private static func knownTags(_ fields: HTTPFields) -> [String]? {
        var known: [String] = []
        for field in fields {
            switch field.name {
            case .ifNoneMatch: known.append(field.value)
            case .contentLength, .prefer: return nil
            default:
                guard field.isPlain else { return nil }
            }
        }
        return known
    }

}

/// The path of a request that is about one job.
struct FastPathURI {
    private static let prefix = "/v1/jobs/".utf8
    private static let idLength = 36

    private let rest: Substring.UTF8View

    /// Nil for any other path.
    init?(_ head: HTTPRequest) {
        guard let path = head.path?.utf8, path.starts(with: Self.prefix) else { return nil }
        rest = path.dropFirst(Self.prefix.count)
    }

    /// What comes after the job; it tells most requests apart, so it is to be revalidated at first.
    var end: Substring.UTF8View { rest.dropFirst(Self.idLength) }

    /// Nil where it is none.
    var job: JobID? { JobID(String(decoding: rest.prefix(Self.idLength), as: UTF8.self)) }
}

extension HTTPField {
    /// Whether it asks for nothing special.
    var isPlain: Bool {
        switch name {
        case .contentEncoding, .expect, .transferEncoding, .upgrade: false
        case .connection: value.utf8.elementsEqual("keep-alive".utf8) || value.lowercased() == "keep-alive"
        default: true
        }
    }
}
