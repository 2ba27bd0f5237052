internal import HTTPTypes
internal import Hummingbird
internal import HummingbirdCore
internal import Ledger
internal import LedgerStore
internal import LedgerWire
internal import Logging

/// A route: its description and its handler.
///
/// The router and the OpenAPI description are both made from routes, so they cannot differ.
struct Route: Sendable {
    /// A parameter of the query.
    struct Parameter: Sendable {
        var name: String
        var type: Kind
        var description: String
        /// Whether it may occur several times, with one value each.
        var isRepeatable = false
        var isRequired = false

        /// The type of its values.
        enum Kind: Sendable {
            case string
            /// A time as RFC 3339 writes it.
            case moment
            case integer(ClosedRange<Int64>)
            case choice([String])
            /// Any number of parameters with names that start with this name.
            case prefix
        }
    }

    /// The body of a request.
    struct Body: Sendable {
        /// The name of its schema in the description.
        var schema: String
        /// Whether the route also reads NDJSON.
        var takesLines: Bool
        /// The format of a body that is not JSON; nil for JSON.
        var binary: Binary?

        /// Whether the description names JSON as a format of the body.
        var isJSON: Bool { binary == nil && schema != "Text" }

        /// A body in a format of its own, which the handler decodes and decompresses.
        struct Binary: Sendable {
            /// The media types, in lower case and without parameters.
            var mediaTypes: [String]
            /// The maximum size in bytes; nil for that of all bodies.
            var bytesMax: Int?
            /// Whether the content is received and dropped, so that it takes no memory.
            var isDropped = false
        }

        static func binary(_ binary: Binary) -> Body { Body(schema: "Text", takesLines: false, binary: binary) }
    }

    /// The description of a response.
    struct ResponseSpec: Sendable {
        var status: Int
        var description: String
        /// The name of a schema in the description; nil for no body.
        var schema: String?
        var mediaType = "application/json"
    }

    /// The permission that it needs.
    var access: RoutePermission
    var method: HTTPRequest.Method
    /// The path as OpenAPI writes it: `/v1/jobs/{job}`.
    var path: String
    var operation: String
    var summary: String
    var parameters: [Parameter] = []
    var body: Body?
    var responses: [ResponseSpec]
    /// Whether it may compute for long.
    ///
    /// Such a route runs on ``ComputeExecutor``, where it delays no other connection. A read among them is cancelled if
    /// its client disconnects.
    var isHeavy = false
    /// Whether its requests in progress are limited in number.
    var isLimited = false
    /// Whether its response names the path of the new resource.
    var hasLocation = false
    /// Whether it supports `Prefer: wait`.
    var prefersWait = false
    /// Whether it changes nothing although it is no GET.
    var isQuery = false
    /// Makes the response to a failed request; nil for problem+json.
    ///
    /// The header fields of the request select the format.
    var refusal: (@Sendable (HTTPProblem, HTTPFields, RequestIdentity) -> LedgerResponse)?
    /// The address of the server's root relative to its page.
    ///
    /// Nil for routes that return no pages for people.
    var page: PageRoot?
    /// Its variant for small requests; nil if it has none.
    var fastPath: FastPath?
    var handle: @Sendable (RouteRequest) async throws -> LedgerResponse

    /// Whether it changes nothing.
    var isRead: Bool { method == .get || isQuery }

    /// Whether its responses have an entity tag.
    var hasEntityTag: Bool { responses.contains { $0.status == 304 } }

    /// The time that a request may take.
    ///
    /// It follows from the method, so no route can be without a bound.
    func bound(_ settings: ServerSettings, waiting wait: Int) -> TimeBound {
        TimeBound(
            limit: isRead ? settings.readDeadline + .seconds(prefersWait ? wait : 0) : settings.writeDeadline,
            cancelsWork: isRead)
    }

    /// The parameter of a path, which is an id.
    struct PathParameter: Sendable {
        /// The name between the braces of the path.
        var name: String
        /// The text for the OpenAPI description.
        var description: String { "The id of the \(name)" }
    }

    /// The parameter of the path; nil if it has none.
    var pathParameter: PathParameter? {
        path.split(separator: "/").first { $0.hasPrefix("{") }.map {
            PathParameter(name: String($0.dropFirst().dropLast()))
        }
    }
}

/// A request to a route, with the parts that a handler needs.
struct RouteRequest: Sendable {
    let request: Request
    /// The id of the request.
    let identity: RequestIdentity
    /// The caller's access.
    let access: Access
    let query: String?
    /// The id in the path; nil if the path has no parameter.
    let pathID: String?
    let route: Route
    /// The body; nil if the route takes none, or drops it.
    let content: RequestContent?
    /// The seconds of `Prefer: wait`, at most the server's limit.
    let wait: Int

    /// The job in the path.
    func job() throws(HTTPProblem) -> JobID {
        guard let text = pathID, let job = JobID(text) else { throw .noSuchJob(pathID ?? "") }
        return job
    }

    /// The parameters of the query, checked against those of the route.
    func parameters() throws(HTTPProblem) -> QueryParameters {
        try QueryParameters(query, route.parameters)
    }

    /// Parses the body and releases it.
    func read<R: Sendable, Failure: Error>(
        _ parse: @Sendable ([UInt8], EventRequest.Format) throws(Failure) -> R
    ) async throws(Failure) -> R {
        guard let content else { preconditionFailure("a route that reads a body must declare it") }
        return try await content.read(parse)
    }
}

/// All routes of a server.
struct RouteTable: Sendable {
    let routes: [Route]

    /// The objects that all routes share.
    struct Dependencies: Sendable {
        let service: any LedgerService
        let settings: ServerSettings
        let metrics: HTTPMetrics
        let cache: ResponseCache
        let broadcaster: WatchBroadcaster
        let control: AccessControl
        let longRequests: LongRequests
        let logger: Logger
    }

    init(_ dependencies: Dependencies) {
        let routes =
            JobRoutes(dependencies).routes + AppendRoutes(dependencies).routes + ExecutionRoutes(dependencies).routes
            + ProgressRoutes(dependencies).routes + EventRoutes(dependencies).routes
            + TaskRoutes(dependencies).routes + ExplainRoutes(dependencies).routes + HistoryRoutes(dependencies).routes
            + VerifyRoutes(dependencies).routes + ReplayRoutes(dependencies).routes
            + ExportRoutes(dependencies).routes
            + WatchRoutes(dependencies).routes + PageRoutes(dependencies).routes + LoginRoutes(dependencies).routes
            + TokenRoutes(dependencies).routes + SubscriptionRoutes(dependencies).routes
            + EstimateRoutes(dependencies).routes + AnswerRoutes(dependencies).routes
            + OperationsRoutes(dependencies).routes
            + (dependencies.settings.servesTilebox ? TileboxRoutes(dependencies).routes : [])
        self.routes = routes + DescriptionRoute.routes(describing: routes, PageRoutes(dependencies))
    }

    /// The route with this method and path; nil for none.
    ///
    /// - Parameter path: The path with the names of its parameters.
    func route(_ method: HTTPRequest.Method, _ path: String?) -> Route? {
        routes.first { $0.path == path && $0.method == method }
    }

    /// The methods of all routes, each once.
    var methods: [HTTPRequest.Method] { Array(Set(routes.map(\.method))) }

    /// The methods of a path, for the response to any other method.
    func methods(of path: String) -> [HTTPRequest.Method] {
        let parts = path.split(separator: "/")
        return routes.filter { route in
            let pattern = route.path.split(separator: "/")
            return pattern.count == parts.count && zip(pattern, parts).allSatisfy { $0 == $1 || $0.hasPrefix("{") }
        }.map(\.method)
    }
}
