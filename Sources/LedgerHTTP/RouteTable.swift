internal import HTTPTypes
internal import Hummingbird
internal import HummingbirdCore
internal import Ledger
internal import LedgerStore
internal import LedgerWire
internal import Logging

/// One route: what it is, and what it does. The router and the description are both made from these, so neither can
/// say what the other does not.
struct Route: Sendable {
    /// A parameter of the query.
    struct Parameter: Sendable {
        var name: String
        var type: Kind
        var description: String

        /// What its values are.
        enum Kind: Sendable {
            case string
            case integer(ClosedRange<Int64>)
            case choice([String])
            /// Any number of parameters whose names begin with this one's.
            case prefix
        }
    }

    /// What a body holds, by the name of its schema in the description.
    struct Body: Sendable {
        var schema: String
        var takesLines: Bool
    }

    /// One of the answers.
    struct ResponseSpec: Sendable {
        var status: Int
        var description: String
        /// The name of a schema in the description; nil for no body.
        var schema: String?
        var mediaType = "application/json"
    }

    var method: HTTPRequest.Method
    /// The path as OpenAPI writes it: `/v1/jobs/{job}`.
    var path: String
    var operation: String
    var summary: String
    var parameters: [Parameter] = []
    var body: Body?
    var responses: [ResponseSpec]
    /// Whether it may compute for long: then it runs where it keeps no other connection waiting, and is cancelled when its
    /// client has gone.
    var isHeavy = false
    /// Whether its response names the path of what was made.
    var hasLocation = false
    /// Whether it waits as long as `Prefer: wait` says.
    var prefersWait = false
    /// Its form for small requests; nil if it has none.
    var fastPath: FastPath?
    var handle: @Sendable (RouteRequest) async throws -> LedgerResponse

    /// Whether it changes nothing.
    var isRead: Bool { method == .get }

    /// Whether its responses have an entity tag.
    var hasEntityTag: Bool { responses.contains { $0.status == 304 } }

    /// How long a request may take. Every route has a bound: it follows from the method, so no route can be without.
    func bound(_ settings: ServerSettings, waiting wait: Int) -> TimeBound {
        TimeBound(
            limit: isRead ? settings.readDeadline + .seconds(prefersWait ? wait : 0) : settings.writeDeadline,
            cancelsWork: isRead)
    }

    /// What the path leaves open: the id of something.
    struct PathParameter: Sendable {
        /// As it stands between braces.
        var name: String
        /// What it is, for the description.
        var description: String { "The id of the \(name)" }
    }

    /// What the path leaves open, if anything.
    var pathParameter: PathParameter? {
        path.split(separator: "/").first { $0.hasPrefix("{") }.map {
            PathParameter(name: String($0.dropFirst().dropLast()))
        }
    }
}

/// A request on its way through a route.
struct RouteRequest: Sendable {
    let request: Request
    let query: String?
    /// The id that the path names.
    let pathID: String?
    let route: Route
    /// The body; nil where the route takes none.
    let content: RequestContent?
    /// The seconds that `Prefer: wait` asks for, as far as they are granted.
    let wait: Int

    /// The job that the path names.
    func job() throws(HTTPProblem) -> JobID {
        guard let text = pathID, let job = JobID(text) else { throw .noSuchJob(pathID ?? "") }
        return job
    }

    /// The parameters of the query: those that the route knows, each with a value that it may have.
    func parameters() throws(HTTPProblem) -> QueryParameters {
        try QueryParameters(query, route.parameters)
    }

    /// Reads the body, which is let go of.
    func read<R: Sendable>(
        _ reading: @Sendable ([UInt8], EventRequest.Format) throws(RequestError) -> R
    ) async throws -> R {
        guard let content else { preconditionFailure("a route that reads a body says which") }
        return try await content.read(reading)
    }
}

/// All routes of a server.
struct RouteTable: Sendable {
    let routes: [Route]

    /// What all routes share.
    struct Dependencies: Sendable {
        let service: any LedgerService
        let settings: ServerSettings
        let metrics: HTTPMetrics
        let cache: ResponseCache
        let logger: Logger
    }

    init(_ dependencies: Dependencies) {
        let routes =
            JobRoutes(dependencies).routes + AppendRoutes(dependencies).routes + ExecutionRoutes(dependencies).routes
            + ProgressRoutes(dependencies).routes + EventRoutes(dependencies).routes
            + TaskRoutes(dependencies).routes + ExplainRoutes(dependencies).routes + HistoryRoutes(dependencies).routes
            + VerifyRoutes(dependencies).routes + ReplayRoutes(dependencies).routes
            + ExportRoutes(dependencies).routes
            + WatchRoutes(dependencies).routes + PageRoutes(dependencies).routes
            + OperationsRoutes(dependencies).routes
        self.routes = routes + [DescriptionRoute.route(describing: routes)]
    }

    /// The methods that any path takes, each once.
    var methods: [HTTPRequest.Method] { Array(Set(routes.map(\.method))) }

    /// The methods that a path takes, for an answer to one that it does not.
    func methods(of path: String) -> [HTTPRequest.Method] {
        let parts = path.split(separator: "/")
        return routes.filter { route in
            let pattern = route.path.split(separator: "/")
            return pattern.count == parts.count && zip(pattern, parts).allSatisfy { $0 == $1 || $0.hasPrefix("{") }
        }.map(\.method)
    }
}
