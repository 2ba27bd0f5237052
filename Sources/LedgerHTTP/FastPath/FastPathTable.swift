internal import HTTPTypes
internal import Ledger
internal import LedgerWire

/// The routes that have a fast path, and the rules by which a request may take it.
struct FastPathTable: Sendable {
    /// A route with its fast path.
    struct Row: Sendable {
        let route: Route
        let fastPath: FastPath
        /// The time that a request may take.
        let limit: Duration
        /// The part of the path after the job, for example `/events`; may be empty.
        fileprivate let suffix: String
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
                suffix: String(route.path.dropFirst(pattern.count)))
        }
        shortestLimit = rows.map(\.limit).min() ?? settings.readDeadline
    }

    /// Matches a request with the rows; nil if it takes the routed path.
    func match(_ head: HTTPRequest) -> Match? {
        guard let path = head.path?.utf8, path.starts(with: Self.prefix.utf8) else { return nil }
        let rest = path.dropFirst(Self.prefix.utf8.count)
        // The suffix rules out most other requests, so it is compared before the id is parsed.
        let suffix = rest.dropFirst(Self.idLength)
        guard
            let row = rows.first(where: { $0.route.method == head.method && suffix.elementsEqual($0.suffix.utf8) }),
            let job = JobID(String(decoding: rest.prefix(Self.idLength), as: UTF8.self))
        else { return nil }
        return match(head.headerFields, row, job)
    }

    private func match(_ fields: HTTPFields, _ row: Row, _ job: JobID) -> Match? {
        var request = FastPathRequest(job: job)
        var format: EventRequest.Format?
        var bodyLength = 0
        for field in fields {
            switch field.name {
            case .contentType:
                guard let body = row.route.body, format == nil,
                    let stated = MediaType(field.value).format(allowsLines: body.takesLines)
                else { return nil }
                format = stated
            case .contentLength:
                guard let length = Int(field.value), length <= row.fastPath.bodyBytesMax else { return nil }
                bodyLength = length
            case .ifNoneMatch where row.route.hasEntityTag: request.ifNoneMatch.append(field.value)
            case .authorization:
                // The routed path refuses a request with two of them.
                guard request.authorization == nil else { return nil }
                request.authorization = field.value
            case .acceptEncoding where row.route.isRead:
                request.acceptsGzip = request.acceptsGzip || HTTPFields.acceptsGzip(field.value)
            case .prefer where row.route.prefersWait: return nil
            default:
                guard field.isPlain else { return nil }
            }
        }
        if row.route.body != nil {
            guard let format else { return nil }
            request.format = format
        }
        return Match(row: row, request: request, bodyLength: bodyLength)
    }
}

extension HTTPField {
    /// Whether the fast path supports a request with this field.
    fileprivate var isPlain: Bool {
        switch name {
        case .contentEncoding, .expect, .transferEncoding, .upgrade: false
        case .connection: value.utf8.elementsEqual("keep-alive".utf8) || value.lowercased() == "keep-alive"
        default: true
        }
    }
}
