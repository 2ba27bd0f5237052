internal import HTTPTypes
internal import Ledger
internal import LedgerWire
internal import NIOHTTP1

/// The routes that have a fast path, and the rules by which a request may take it.
struct FastPathMatcher: Sendable {
    /// A route with its fast path.
    struct Row: Sendable {
        let route: Route
        let fastPath: FastPath
        /// The time that a request may take.
        let limit: Duration
        /// The part of the path after the job, for example `/events`; may be empty.
        fileprivate let suffix: String
        fileprivate let method: HTTPMethod
    }

    /// A request that may take the fast path.
    struct Match {
        let row: Row
        var request: FastPathRequest
        /// The announced length of the body in bytes.
        let bodyLength: Int
    }

    private static let prefix = "/v1/jobs/"
    private static let idLength = 36

    private let rows: [Row]
    /// The shortest limit of all rows.
    let shortestLimit: Duration

    init(_ routes: [Route], _ settings: ServerSettings) {
        rows = routes.compactMap { route in
            guard let fastPath = route.fastPath else { return nil }
            let pattern = Self.prefix + "{job}"
            precondition(route.path.hasPrefix(pattern), "\(route.path) has a fast path but is not about one job")
            return Row(
                route: route, fastPath: fastPath, limit: route.bound(settings, waiting: 0).limit,
                suffix: String(route.path.dropFirst(pattern.count)),
                method: HTTPMethod(rawValue: route.method.rawValue))
        }
        shortestLimit = rows.map(\.limit).min() ?? settings.readDeadline
    }

    /// Matches a request with the rows; nil if it takes the routed path.
    func match(_ head: HTTPRequestHead) -> Match? {
        let path = head.uri.utf8
        guard path.starts(with: Self.prefix.utf8) else { return nil }
        let rest = path.dropFirst(Self.prefix.utf8.count)
        // The suffix rules out most other requests, so it is compared before the id is parsed.
        let suffix = rest.dropFirst(Self.idLength)
        guard
            let row = rows.first(where: { $0.method == head.method && suffix.elementsEqual($0.suffix.utf8) }),
            let job = JobID(String(decoding: rest.prefix(Self.idLength), as: UTF8.self))
        else { return nil }
        return match(head.headers, row, job)
    }

    private func match(_ headers: HTTPHeaders, _ row: Row, _ job: JobID) -> Match? {
        var request = FastPathRequest(job: job)
        var format: EventRequest.Format?
        var bodyLength = 0
        for (name, value) in headers {
            switch Field(name) {
            case .contentType:
                guard let body = row.route.body, format == nil,
                    let stated = MediaType(value).format(allowsLines: body.takesLines)
                else { return nil }
                format = stated
            case .contentLength:
                guard let length = Int(value), length <= row.fastPath.bodyBytesMax else { return nil }
                bodyLength = length
            case .ifNoneMatch where row.route.hasEntityTag: request.ifNoneMatch.append(value)
            case .authorization:
                // The routed path refuses a request with two of them.
                guard request.authorization == nil else { return nil }
                request.authorization = value
            case .acceptEncoding where row.route.isRead:
                request.acceptsGzip = request.acceptsGzip || HTTPFields.acceptsGzip(value)
            case .prefer where row.route.prefersWait: return nil
            case .connection:
                guard value == "keep-alive" || value.lowercased() == "keep-alive" else { return nil }
            case .unsupported: return nil
            case .ifNoneMatch, .acceptEncoding, .prefer, nil: break
            }
        }
        if row.route.body != nil {
            guard let format else { return nil }
            request.format = format
        }
        return Match(row: row, request: request, bodyLength: bodyLength)
    }
}

/// A header field that affects the choice of the path, or the response.
private enum Field {
    case acceptEncoding, authorization, connection, contentLength, contentType, ifNoneMatch, prefer
    /// A field that only the routed path supports.
    case unsupported

    /// - Parameter name: The name, in upper or lower case.
    init?(_ name: String) {
        switch name.utf8.count {
        case 6 where name.isField("expect"): self = .unsupported
        case 6 where name.isField("prefer"): self = .prefer
        case 7 where name.isField("upgrade"): self = .unsupported
        case 10 where name.isField("connection"): self = .connection
        case 12 where name.isField("content-type"): self = .contentType
        case 13 where name.isField("authorization"): self = .authorization
        case 13 where name.isField("if-none-match"): self = .ifNoneMatch
        case 14 where name.isField("content-length"): self = .contentLength
        case 15 where name.isField("accept-encoding"): self = .acceptEncoding
        case 16 where name.isField("content-encoding"): self = .unsupported
        case 17 where name.isField("transfer-encoding"): self = .unsupported
        default: return nil
        }
    }
}
