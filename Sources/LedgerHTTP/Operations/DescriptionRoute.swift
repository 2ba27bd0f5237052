internal import HTTPTypes
internal import Ledger
internal import LedgerWire
internal import Synchronization

/// The description of all routes: `/openapi.json`, and the page `/docs`.
///
/// It is made from the same table as the router.
enum DescriptionRoute {
    /// The routes of the description, for programs and for people.
    ///
    /// The description contains these routes too.
    static func routes(describing routes: [Route], _ pages: PageRoutes) -> [Route] {
        var own = Route(
            access: .general(.read), method: .get, path: "/openapi.json", operation: "description",
            summary: "This description",
            responses: [Route.ResponseSpec(status: 200, description: "OpenAPI 3.1", schema: "Description")],
            handle: { _ in throw HTTPProblem(.internalServerError, "No description", "The description is missing.") })
        var page = Route(
            access: .general(.read), method: .get, path: "/docs", operation: "referencePage",
            summary: "The page of this description", responses: [PageRoutes.page("The page")], isHeavy: true,
            page: .ofJobs, handle: own.handle)
        let text = Self.text(of: routes + [own, page])
        own.handle = { _ in LedgerResponse(status: .ok, contentType: "application/json", bytes: text) }
        let reference = LazyReference(text: text)
        page.handle = pages.withErrorPages(.ofJobs) { request in
            _ = try request.parameters()
            var page = try reference.page()
            page.hasLogin = request.hasLogin
            page.version = .current
            return page.response()
        }
        return [own, page]
    }

    /// The page of the description, made for its first reader.
    ///
    /// Making it takes longer than the start of the server.
    private final class LazyReference: Sendable {
        private let text: [UInt8]
        private let made = Mutex<Page?>(nil)

        init(text: [UInt8]) {
            self.text = text
        }

        func page() throws -> Page {
            if let page = made.withLock({ $0 }) { return page }
            let page = try ReferencePage(text).page
            made.withLock { $0 = page }
            return page
        }
    }

    /// The description of routes in JSON.
    static func text(of routes: [Route]) -> [UInt8] {
        var writer = JSONWriter()
        writer.object { writer in
            writer.field("openapi", "3.1.0")
            writer.name("info")
            writer.object { writer in
                writer.field("title", "Progress ledger")
                writer.field("version", ProductVersion.current.number)
                writer.field(
                    "description",
                    "Tracks the progress of distributed jobs, and proves its numbers. Errors are problem+json (RFC 9457)."
                )
            }
            let groups = RouteGroup.allCases.filter { group in routes.contains { RouteGroup(of: $0) == group } }
            writer.name("tags")
            writer.array(groups) { writer, group in
                writer.object {
                    $0.field("name", group.rawValue)
                    $0.field("description", group.description)
                }
            }
            writer.name("paths")
            writer.object { writer in
                var paths: [String] = []
                for route in routes where !paths.contains(route.path) { paths.append(route.path) }
                for path in paths {
                    writer.name(path)
                    writer.object { writer in
                        for route in routes where route.path == path { write(route, to: &writer) }
                    }
                }
            }
            writer.name("components")
            writer.object { writer in
                writer.name("schemas")
                writer.object { writer in
                    for schema in SchemaCatalogue.schemas { schema.write(to: &writer) }
                }
                writeHeaders(to: &writer)
                writer.name("securitySchemes")
                writer.object { writer in
                    writer.name("token")
                    writer.object { writer in
                        writer.field("type", "http")
                        writer.field("scheme", "bearer")
                    }
                }
            }
        }
        writer.newLine()
        return writer.bytes
    }

    private static func write(_ route: Route, to writer: inout JSONWriter) {
        writer.name(route.method.rawValue.lowercased())
        writer.object { writer in
            writer.field("operationId", route.operation)
            writer.name("tags")
            writer.array([RouteGroup(of: route)]) { $0.string($1.rawValue) }
            writer.field("summary", route.summary)
            if let scope = route.access.scope {
                writer.field("description", "Needs a token with the scope \(scope.rawValue), if the ledger has tokens.")
                writer.name("security")
                // An empty requirement: a ledger without tokens needs none.
                writer.array([true, false]) { writer, isRequired in
                    writer.object { writer in
                        guard isRequired else { return }
                        writer.name("token")
                        writer.array([String]()) { $0.string($1) }
                    }
                }
            }
            writeParameters(of: route, to: &writer)
            if let body = route.body {
                writer.name("requestBody")
                writer.object { writer in
                    writer.field("required", true)
                    writer.name("content")
                    writer.object { writer in
                        for type in body.binary?.mediaTypes ?? (body.isJSON ? ["application/json"] : []) {
                            content(
                                type, schema: body.schema, example: RouteExamples.body(of: route.operation), to: &writer
                            )
                        }
                        if body.takesLines { content("application/x-ndjson", schema: "Text", to: &writer) }
                    }
                }
            }
            writer.name("responses")
            writer.object { writer in
                for outcome in responses(of: route) { write(outcome, of: route, to: &writer) }
            }
        }
    }

    /// The responses of a route, with those that all routes of its kind may send.
    private static func responses(of route: Route) -> [Route.ResponseSpec] {
        var common: [Route.ResponseSpec] = [
            .problem(400, "The request is not valid HTTP, its body is not JSON, or its body ended early"),
            .problem(429, "Too many requests; nothing was recorded"), .problem(500, "An error of the server"),
            .problem(
                503,
                "The ledger cannot accept more requests now; nothing was recorded unless the title is Outcome unknown"),
        ]
        if route.access.scope != nil {
            common += [
                .problem(401, "A token is missing or not accepted"), .problem(403, "The token does not permit it"),
            ]
        }
        if route.isRead { common.append(.problem(504, "Timed out")) }
        if route.body != nil {
            common += [
                .problem(408, "The body did not arrive in time"), .problem(413, "Too large"),
                .problem(415, "Unsupported media type"), .problem(422, "The request is invalid"),
            ]
        }
        if !route.parameters.isEmpty { common.append(.problem(422, "A parameter is invalid")) }
        if route.pathParameter != nil { common.append(.problem(404, "No such \(route.pathParameter?.name ?? "")")) }
        var responses = route.responses
        for outcome in common where !responses.contains(where: { $0.status == outcome.status }) {
            responses.append(outcome)
        }
        return responses.sorted { $0.status < $1.status }
    }

    private static func write(_ outcome: Route.ResponseSpec, of route: Route, to writer: inout JSONWriter) {
        writer.name(String(outcome.status))
        writer.object { writer in
            writer.field("description", outcome.description)
            let headers = headers(of: outcome, route)
            if !headers.isEmpty {
                writer.name("headers")
                writer.object { writer in
                    for name in headers {
                        writer.name(name)
                        writer.object { $0.field("$ref", "#/components/headers/\(name)") }
                    }
                }
            }
            guard let schema = outcome.schema else { return }
            writer.name("content")
            writer.object { writer in
                content(outcome.mediaType, schema: schema, to: &writer)
                // A page reports its own errors as a page. Errors before that are problems in JSON.
                if outcome.status >= 400, route.responses.contains(where: { $0.mediaType == "text/html" }) {
                    content("text/html", schema: "Text", to: &writer)
                }
            }
        }
    }

    private static func headers(of outcome: Route.ResponseSpec, _ route: Route) -> [String] {
        let requestID = outcome.status >= 400 && outcome.mediaType == "application/problem+json" ? ["X-Request-Id"] : []
        return requestID + ownHeaders(of: outcome, route)
    }

    /// The headers of a response that not all problems have.
    private static func ownHeaders(of outcome: Route.ResponseSpec, _ route: Route) -> [String] {
        switch outcome.status {
        case 200, 304: route.hasEntityTag ? ["ETag"] + (route.prefersWait ? ["Preference-Applied"] : []) : []
        case 201, 202: route.hasLocation ? ["Location"] : []
        case 429, 503, 504: ["Retry-After"]
        default: []
        }
    }

    /// The headers of responses, by their names.
    private static let headers: [(name: String, description: String, kind: SchemaCatalogue.Kind)] = [
        ("ETag", "The entity tag, which changes whenever the snapshot does; opaque and weak", .text(max: nil)),
        ("Location", "The path of the new resource", .text(max: nil)),
        ("Preference-Applied", "wait=SECONDS, if the response waited for a change", .text(max: nil)),
        ("Retry-After", "The number of seconds to wait before trying again", .integer(1...3_600)),
        ("X-Request-Id", "The id of the request, by which the server's log names it", .text(max: nil)),
    ]

    private static func writeHeaders(to writer: inout JSONWriter) {
        writer.name("headers")
        writer.object { writer in
            for header in headers {
                writer.name(header.name)
                writer.object { writer in
                    writer.field("description", header.description)
                    writer.name("schema")
                    writer.object { SchemaCatalogue.write(header.kind, to: &$0) }
                }
            }
        }
    }

    /// The request headers that a route evaluates.
    private static func requestHeaders(of route: Route) -> [Route.Parameter] {
        var headers: [Route.Parameter] = []
        if route.hasEntityTag {
            headers.append(
                Route.Parameter(
                    name: "If-None-Match", type: .string,
                    description: "The entity tags that the client has: 304 if one is current"))
        }
        if route.prefersWait {
            headers.append(
                Route.Parameter(
                    name: "Prefer", type: .string,
                    description: "wait=SECONDS: 304 only if nothing changes for this time; at most 30"))
        }
        if route.operation == "createJob" {
            headers.append(
                Route.Parameter(
                    name: "Idempotency-Key", type: .string,
                    description: "Repeated requests return the same job for 24 hours; ignored if the job has a key"))
        }
        if route.operation == "watchJob" {
            headers.append(
                Route.Parameter(
                    name: "Last-Event-ID", type: .string, description: "The id of the last event that the client has"))
        }
        return headers
    }

    private static func writeParameters(of route: Route, to writer: inout JSONWriter) {
        let inPath = route.pathParameter.map {
            (location: "path", parameter: Route.Parameter(name: $0.name, type: .string, description: $0.description))
        }
        let parameters =
            route.parameters.map { (location: "query", parameter: $0) } + [inPath].compactMap { $0 }
            + requestHeaders(of: route).map { (location: "header", parameter: $0) }
        guard !parameters.isEmpty else { return }
        writer.name("parameters")
        writer.array(parameters) { writer, entry in
            writer.object { writer in
                // A client sends the names of exploded properties, and not the name of their object.
                let isPrefix = if case .prefix = entry.parameter.type { true } else { false }
                writer.field("name", isPrefix ? "tags" : entry.parameter.name)
                writer.field("in", entry.location)
                writer.field("required", entry.location == "path" || entry.parameter.isRequired)
                writer.field("description", entry.parameter.description)
                if isPrefix || entry.parameter.isRepeatable {
                    writer.field("style", "form")
                    writer.field("explode", true)
                }
                writer.name("schema")
                writer.object { writer in write(entry.parameter, to: &writer) }
            }
        }
    }

    private static func write(_ parameter: Route.Parameter, to writer: inout JSONWriter) {
        guard !parameter.isRepeatable else {
            var element = parameter
            element.isRepeatable = false
            writer.field("type", "array")
            writer.name("items")
            return writer.object { write(element, to: &$0) }
        }
        switch parameter.type {
        case .string: SchemaCatalogue.write(.text(max: nil), to: &writer)
        case .moment:
            SchemaCatalogue.write(.moment, to: &writer)
            writer.field("example", "2026-11-30T03:00:00Z")
        case .integer(let range): SchemaCatalogue.write(.integer(range), to: &writer)
        case .choice(let choices): SchemaCatalogue.write(.choice(choices), to: &writer)
        case .prefix:
            // Each property is sent as a separate parameter: tag.region=eu&tag.kind=full.
            SchemaCatalogue.write(.map(.text(max: Limits.tagValueLengths.upperBound)), to: &writer)
            writer.name("propertyNames")
            writer.object { $0.field("pattern", "^\(parameter.name.replacing(".", with: "\\."))") }
            writer.name("example")
            writer.object { $0.field("\(parameter.name)region", "eu") }
        }
    }

    /// - Parameter example: An example in JSON; nil for none.
    private static func content(
        _ mediaType: String, schema: String, example: String? = nil, to writer: inout JSONWriter
    ) {
        writer.name(mediaType)
        writer.object { writer in
            writer.name("schema")
            writer.object { $0.field("$ref", "#/components/schemas/\(schema)") }
            guard let example else { return }
            writer.name("example")
            writer.json(example)
        }
    }
}
