internal import Glibc
internal import HTTPTypes
internal import Hummingbird
internal import HummingbirdCore
internal import LedgerJWT
public import LedgerStore
internal import LedgerWire
public import Logging
internal import NIOCore
internal import NIOPosix
public import ServiceLifecycle
public import Tracing

/// The HTTP server of a ledger.
public struct LedgerServer: Service {
    private let service: any LedgerService
    private let settings: ServerSettings
    private let logger: Logger
    private let tracer: (any Tracer)?
    private let onListening: @Sendable (_ host: String, _ port: Int) async -> Void
    /// The memory of the bodies on both paths.
    let budget: BodyBudget

    /// Creates a server for this ledger.
    ///
    /// - Parameters:
    ///   - tracer: The backend for spans; nil for none, which costs nothing.
    ///   - onListening: Called once the server accepts connections, with its address and its actual port.
    public init(
        service: any LedgerService, settings: ServerSettings = ServerSettings(), logger: Logger,
        tracer: (any Tracer)? = nil,
        onListening: @escaping @Sendable (_ host: String, _ port: Int) async -> Void = { _, _ in }
    ) {
        self.service = service
        self.settings = settings
        self.logger = logger
        self.tracer = tracer
        self.onListening = onListening
        budget = BodyBudget(bytesMax: settings.bodiesBytesMax)
    }

    /// Serves until the task is cancelled or the service group shuts down.
    ///
    /// Then it accepts no more requests and finishes those that it has begun.
    public func run() async throws {
        let (service, settings, logger, tracer, budget) = (service, settings, logger, tracer, budget)
        let onListening = onListening
        let metrics = HTTPMetrics()
        let date = HTTPDate()
        let cache = ResponseCache()
        let connections = ConnectionRegistry(connectionsMax: settings.connectionsMax)
        let broadcaster = WatchBroadcaster(service: service, settings: settings, metrics: metrics, logger: logger)
        let jwt = try settings.jwt.map { try JWTVerifier($0) }
        let control = AccessControl(service: service, jwt: jwt)
        let longRequests = LongRequests(settings: settings)
        let table = RouteTable(
            RouteTable.Dependencies(
                service: service, settings: settings, metrics: metrics, cache: cache, broadcaster: broadcaster,
                control: control, longRequests: longRequests, logger: logger))
        let origins = OriginPolicy(
            host: settings.host, allowedHosts: settings.allowedHosts, corsOrigins: settings.corsOrigins)
        let tls = try settings.tls.map { try ServerTLS($0) }
        metrics.setCertificateExpiry { tls?.certificateExpiry }
        let fastPaths = FastPathMatcher(table.routes, settings)
        let application = Application(
            responder: makeRouter(table, control, longRequests, metrics, budget, connections).buildResponder(),
            server: HTTPServerBuilder { responder in
                LedgerChannel(
                    responder: responder, settings: settings, origins: origins, control: control,
                    metrics: metrics, date: date, connections: connections, tls: tls
                ) { validator in
                    [
                        FastPathHandler(
                            matcher: fastPaths, control: control, budget: budget, metrics: metrics, date: date,
                            validator: validator, logger: logger, tracer: tracer),
                        WatchStreamHandler(
                            broadcaster: broadcaster, control: control, metrics: metrics, date: date, tracer: tracer),
                    ]
                }
            },
            configuration: ApplicationConfiguration(
                address: .hostname(settings.host, port: settings.port), serverName: nil, backlog: 1_024,
                // The registry makes room for a new connection. These further ones wait for their refusal.
                availableConnectionsDelegate: MaximumAvailableConnections(
                    settings.connectionsMax + ServerSettings.refusedConnectionsMax)),
            onServerRunning: { channel in
                await onListening(settings.host, channel.localAddress?.port ?? settings.port)
            },
            eventLoopGroupProvider: .shared(EventLoopExecutor.group),
            logger: logger)
        try await withGracefulShutdownHandler {
            try await withThrowingTaskGroup { group in
                group.addTask { await broadcaster.run() }
                if let tls { group.addTask { await tls.reloadChanges(logger) } }
                if let jwt { group.addTask { await jwt.reloadChanges(logger) } }
                do {
                    try await withTaskExecutorPreference(EventLoopExecutor.shared) { try await application.run() }
                } catch let error as IOError where [EADDRINUSE, EADDRNOTAVAIL, EACCES].contains(error.errnoCode) {
                    throw ListenError(host: settings.host, port: settings.port, reason: error.errnoCode)
                }
                group.cancelAll()
            }
        } onGracefulShutdown: {
            broadcaster.close()
        }
    }

    private func makeRouter(
        _ table: RouteTable, _ control: AccessControl, _ longRequests: LongRequests, _ metrics: HTTPMetrics,
        _ budget: BodyBudget, _ connections: ConnectionRegistry
    ) -> Router<LedgerRequestContext> {
        let collector = BodyCollector(settings: settings, budget: budget)
        let router = Router(context: LedgerRequestContext.self, options: .autoGenerateHeadEndpoints)
        router.add(middleware: ProblemMiddleware(table: table, metrics: metrics, tracer: tracer))
        for route in table.routes {
            let endpoint = Endpoint(
                route: route, service: service, control: control, settings: settings, collector: collector,
                connections: connections,
                longRequests: longRequests, metrics: metrics)
            router.on(RouterPath(route.path), method: route.method) { request, context in
                try await endpoint.respond(to: request, context)
            }
        }
        return router
    }
}

/// An address that the server cannot listen on.
///
/// Another process uses it, it is not an address of this machine, or this process is not permitted to use it.
public struct ListenError: Error, CustomStringConvertible {
    public let host: String
    public let port: Int
    let reason: CInt

    public var description: String {
        "Cannot listen on \(host), port \(port): \(String(cString: strerror(reason))). Set another --port or --host."
    }
}
