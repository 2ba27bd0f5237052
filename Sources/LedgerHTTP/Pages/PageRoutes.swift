internal import HTTPTypes
internal import HummingbirdCore
internal import Ledger
internal import LedgerStore
internal import LedgerWire

/// The web pages, their files, and the pictures of jobs.
struct PageRoutes: Sendable {
    let service: any LedgerService
    /// Whether the server speaks HTTPS.
    let usesTLS: Bool

    init(_ dependencies: RouteTable.Dependencies) {
        service = dependencies.service
        usesTLS = dependencies.settings.tls != nil
    }

    var routes: [Route] {
        listRoutes + [
            Route(
                access: .job(.read), method: .get, path: "/jobs/{job}", operation: "jobPage",
                summary: "The page of a job, now or as of any moment",
                parameters: Route.Parameter.moments + [
                    .init(name: "indicator", type: .string, description: "The indicator to draw and explain"),
                    .init(name: "chart", type: .string, description: "The indicator to draw, if another one"),
                    .init(
                        name: "executions", type: .string,
                        description: "all: explain all executions, and not only those that do not count"),
                    .init(name: "from", type: .string, description: "The cursor of the next page of the explanation"),
                    .init(name: "state", type: .string, description: "Only tasks in this state"),
                    .init(name: "silent", type: .string, description: "true: only tasks with a silent execution"),
                    .init(name: "find", type: .string, description: "Only tasks with this text in the name"),
                    .init(name: "order", type: .string, description: "The order of tasks"),
                    .init(name: "cursor", type: .string, description: "The cursor of the next page of tasks"),
                    .init(name: "type", type: .string, description: "Only events of this type"),
                    .init(name: "verdict", type: .string, description: "Only events with this verdict"),
                    .init(name: "task", type: .string, description: "Only events of this task"),
                    .init(name: "before", type: .string, description: "Only events before this one"),
                    .init(name: "verify", type: .string, description: "1: recompute the hash chain"),
                    .init(name: "draw", type: .string, description: "1: draw the chart of a long history too"),
                    Self.part, Self.format,
                ],
                responses: [
                    Self.page("The page"), .problem(404, "No such job"), .retired,
                    .problem(422, "A parameter is invalid"),
                ], isHeavy: true, page: .ofJob,
                handle: withErrorPages(.ofJob) { try await JobPageBuilder(service: service, request: $0).response() }),
            Route(
                access: .job(.read), method: .get, path: "/jobs/{job}/task", operation: "taskPage",
                summary: "The page of a task, now or as of any moment",
                parameters: Route.Parameter.moments + [
                    .init(name: "name", type: .string, description: "The name of the task"),
                    .init(name: "type", type: .string, description: "Only events of this type"),
                    .init(name: "verdict", type: .string, description: "Only events with this verdict"),
                    .init(name: "before", type: .string, description: "Only events before this one"),
                    Self.part, Self.format,
                ],
                responses: [
                    Self.page("The page"), .problem(404, "No such job or task"), .retired,
                    .problem(422, "A parameter is invalid"),
                ], isHeavy: true, page: .ofTask,
                handle: withErrorPages(.ofTask) {
                    try await JobPageBuilder(service: service, request: $0).taskResponse()
                }),
            Route(
                access: .jobs(.admin), method: .get, path: "/notifications", operation: "notificationsPage",
                summary: "The page of subscriptions and their newest deliveries",
                responses: [Self.page("The page")], page: .ofJobs, handle: withErrorPages(.ofJobs, notifications)),
            Route(
                access: .open, method: .get, path: "/pages/{file}", operation: "pageFile",
                summary: "A file of the pages",
                parameters: [
                    .init(name: "percent", type: .integer(0...100), description: "Of icon.svg: the percentage"),
                    .init(
                        name: "state", type: .choice(JobState.allCases.map(\.rawValue)),
                        description: "Of icon.svg: the state of the job"),
                ],
                responses: [
                    Route.ResponseSpec(status: 200, description: "The file", schema: "Text", mediaType: "text/plain"),
                    .problem(404, "No such file"),
                ], handle: file),
            Route(
                access: .job(.read), method: .get, path: "/v1/jobs/{job}/badge.svg", operation: "badge",
                summary: "A badge with the percentage of a job, to embed elsewhere",
                responses: [
                    Route.ResponseSpec(
                        status: 200, description: "The picture", schema: "Text", mediaType: "image/svg+xml"),
                    Route.ResponseSpec(status: 304, description: "Unchanged since the ETag in If-None-Match"),
                    .problem(404, "No such job"), .retired,
                ], handle: badge),
        ]
    }

    static let part = Route.Parameter(
        name: "part", type: .string, description: "Only this part of the page")

    private static let format = Route.Parameter(
        name: "as", type: .string, description: "csv: the data of the part, to save; json: that of the part timeline")

    static func page(_ description: String) -> Route.ResponseSpec {
        Route.ResponseSpec(status: 200, description: description, schema: "Text", mediaType: "text/html")
    }

    /// Wraps a handler of a page to turn errors into pages.
    ///
    /// Addresses in pages are relative to the path without repeated or final slashes, so other paths are redirected.
    func withErrorPages(
        _ root: PageRoot, _ body: @escaping @Sendable (RouteRequest) async throws -> LedgerResponse
    ) -> @Sendable (RouteRequest) async throws -> LedgerResponse {
        { request in
            let uri = request.request.uri
            let path = "/" + uri.path.split(separator: "/").joined(separator: "/")
            guard uri.path == path else {
                let location = uri.query.map { "\(path)?\($0)" } ?? path
                return LedgerResponse(status: .permanentRedirect, headers: [.location: location])
            }
            do {
                return try await body(request)
            } catch let problem as HTTPProblem {
                return Page.problem(problem, root: root, of: request.identity)
            } catch let error as StoreError {
                let retired = await HTTPProblem.retired(error, for: request.access, service)
                guard let problem = retired ?? HTTPProblem(error) else { throw error }
                return Page.problem(problem, root: root, of: request.identity)
            }
        }
    }

    // MARK: Notifications

    /// Deliveries on the page of notifications.
    private static let deliveriesOnPage = 100

    private func notifications(_ request: RouteRequest) async throws -> LedgerResponse {
        _ = try request.parameters()
        let confinement = request.access.confinement
        var page = NotificationsPage(
            subscriptions: try await service.subscriptions(within: confinement),
            deliveries: try await service.deliveries(
                of: nil, within: confinement, limit: Self.deliveriesOnPage, before: nil),
            now: .now
        ).page
        page.hasLogin = request.hasLogin
        page.version = .current
        return page.response()
    }

    // MARK: Files and pictures

    private static let workerFile = "streams-worker.js"
    /// The content security policy of the shared worker.
    ///
    /// It loads its modules and reads streams of this server.
    private static let workerPolicy = "default-src 'none'; script-src 'self'; connect-src 'self'"

    private func file(_ request: RouteRequest) async throws -> LedgerResponse {
        let name = request.pathID ?? ""
        let parameters = try request.parameters()
        if name == "icon.svg" {
            let percent = try parameters.integer("percent", in: 0...100).map(Int.init)
            let svg = Icon.svg(percent: percent, state: try parameters.choice("state", JobState.self))
            return Self.picture(svg, caching: "public, max-age=86400")
        }
        guard let file = PageFile.all[name], name != "page.html" else {
            throw HTTPProblem(.notFound, "No such file", "The pages have no file \(name).")
        }
        var headers: HTTPFields = [.eTag: file.entityTag]
        // A worker has the policy of its own file, and not that of the page that started it.
        if name == Self.workerFile { headers[.contentSecurityPolicy] = Self.workerPolicy }
        if EntityTag(file.entityTag).matches(request.request.headers[values: .ifNoneMatch]) {
            return LedgerResponse(status: .notModified, headers: headers)
        }
        return LedgerResponse(status: .ok, headers: headers, contentType: file.mediaType, bytes: Array(file.text.utf8))
    }

    private func badge(_ request: RouteRequest) async throws -> LedgerResponse {
        let job = try request.job()
        _ = try request.parameters()
        guard let view = try await service.job(job) else { throw HTTPProblem.noSuchJob(job.description) }
        let version = view.version ?? .unknown
        let history = String(version.history.prefix, radix: 16)
        let tag = "W/\"badge-\(version.projection)-\(view.snapshot.sequence)-\(history)\""
        if EntityTag(tag).matches(request.request.headers[values: .ifNoneMatch]) {
            return LedgerResponse(status: .notModified, headers: [.eTag: tag])
        }
        var response = Self.picture(Badge.svg(view), caching: "no-cache")
        response.headers[.eTag] = tag
        return response
    }

    private static func picture(_ svg: HTML, caching: String) -> LedgerResponse {
        LedgerResponse(
            status: .ok,
            // A picture that is opened as a document must not load or run anything. It may be embedded elsewhere.
            headers: [
                .cacheControl: caching, .contentSecurityPolicy: "default-src 'none'; style-src 'unsafe-inline'",
                .crossOriginResourcePolicy: "cross-origin",
            ],
            contentType: "image/svg+xml; charset=utf-8", bytes: Array(svg.text.utf8))
    }
}

/// The parameters of a page's address.
///
/// Forms send empty fields, which count as absent.
struct PageParameters {
    private let parameters: QueryParameters

    init(_ parameters: QueryParameters) {
        self.parameters = parameters
    }

    subscript(name: String) -> String? {
        parameters[name].flatMap { $0.isEmpty ? nil : $0 }
    }

    /// The exact parameter, empty or not.
    func exactly(_ name: String) throws(HTTPProblem) -> Name? { try parameters.name(name) }

    func name(_ name: String) throws(HTTPProblem) -> Name? { self[name] == nil ? nil : try parameters.name(name) }

    func integer(_ name: String, in range: ClosedRange<Int64>) throws(HTTPProblem) -> Int64? {
        self[name] == nil ? nil : try parameters.integer(name, in: range)
    }

    func sequence(_ name: String, from first: EventSequence = .start) throws(HTTPProblem) -> EventSequence? {
        self[name] == nil ? nil : try parameters.sequence(name, from: first)
    }

    func choice<Choice: RawRepresentable & CaseIterable>(
        _ name: String, _ type: Choice.Type
    ) throws(HTTPProblem) -> Choice? where Choice.RawValue == String {
        self[name] == nil ? nil : try parameters.choice(name, type)
    }

    /// The choices in a parameter that may be repeated.
    func choices<Choice: RawRepresentable & CaseIterable & Hashable>(
        _ name: String, _ type: Choice.Type
    ) throws(HTTPProblem) -> Set<Choice> where Choice.RawValue == String {
        try parameters.choices(name, type, ignoringEmpty: true)
    }

    /// Whether the parameter is `true`.
    func flag(_ name: String) throws(HTTPProblem) -> Bool {
        self[name] == nil ? false : try parameters.flag(name)
    }

    /// The page's own address with the given ones of these parameters.
    func link(_ path: String, _ names: [String], keepingEmpty: [String] = []) -> PageLink {
        PageLink(
            path,
            names.flatMap { name in
                parameters.all(name).filter { !$0.isEmpty || keepingEmpty.contains(name) }.map { (name, $0) }
            })
    }
}
