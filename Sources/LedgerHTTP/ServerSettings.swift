public import Ledger
public import LedgerJWT

/// The settings of the HTTP server: its address and all limits, with their reasons.
public struct ServerSettings: Sendable {
    /// The address to listen on.
    public var host = "127.0.0.1"
    /// The port to listen on; 0 picks a free one.
    public var port = 8080
    /// Further names of the server.
    ///
    /// `localhost`, loopback addresses and ``host`` are always allowed.
    public var allowedHosts: [String] = []
    /// Origins of other sites, such as `https://wiki.example.com`.
    ///
    /// The scripts of their pages may read responses (CORS) and send any request, without cookies. Valid values:
    /// see ``isOrigin(_:)``.
    public var corsOrigins: [String] = []
    /// The path below which a reverse proxy serves everything; empty for none.
    ///
    /// The server accepts requests with and without it, because some proxies remove it. Valid values: see
    /// ``basePath(_:)``.
    public var basePath = ""
    /// The trusted reverse proxies.
    ///
    /// Their `X-Forwarded-Prefix` is the base path of a request, their `X-Forwarded-Proto` its protocol, and their
    /// `X-Request-Id` its id.
    public var trustedProxies = TrustedProxies()
    /// The files of TLS; nil for plain HTTP.
    public var tls: TLSFiles?
    /// The settings for JSON Web Tokens; nil if none are accepted.
    public var jwt: JWTSettings?
    /// The permitted receivers of notifications.
    public var notificationTargets = WebhookTargets.usual
    /// Whether Tilebox's SDK can read jobs.
    public var servesTilebox = false

    /// The paths of the files of TLS, all in PEM.
    public struct TLSFiles: Hashable, Sendable {
        /// The server's certificate, followed by intermediate ones.
        public var certificate: String
        /// The private key of the certificate, without a passphrase.
        public var key: String
        /// The authorities of client certificates; nil if clients need none.
        public var clientCA: String?

        public init(certificate: String, key: String, clientCA: String? = nil) {
            self.certificate = certificate
            self.key = key
            self.clientCA = clientCA
        }
    }

    /// The maximum number of open connections.
    ///
    /// At this number the server closes the connections that have been idle for longest. If none is idle, it refuses a
    /// new one with 503.
    public var connectionsMax = 16_384
    /// The smallest useful value of ``connectionsMax``.
    public static let connectionsMin = 64
    /// The number of connections beyond ``connectionsMax`` that are refused at once.
    ///
    /// Further ones wait in the system's queue.
    public static let refusedConnectionsMax = 64
    /// The maximum size of the body of one request, in bytes.
    public var bodyBytesMax = 16 << 20
    /// The maximum size of all bodies that are being read, in bytes.
    ///
    /// The default holds four of the largest bodies, or thousands of reports. Further bodies are refused with 503.
    public var bodiesBytesMax = 64 << 20
    /// The maximum time for a body to arrive completely, however slowly it is sent.
    public var bodyDeadline: Duration = .seconds(30)
    /// The maximum time without data from a client, in or between requests, in seconds.
    public var idleSeconds = 75
    /// How long `?wait=folded`, a start and `min_sequence` wait for the projection.
    public var foldDeadline: Duration = .seconds(5)
    /// The maximum time to respond to a read, without the time of `Prefer: wait`.
    public var readDeadline: Duration = .seconds(10)
    /// The maximum time to respond to a write once it has arrived.
    ///
    /// It is longer than the ledger takes to find out whether a commit succeeded.
    public var writeDeadline: Duration = .seconds(35)
    /// The maximum value of `Prefer: wait`, in seconds.
    public var preferWaitMax = 30

    /// The maximum number of requests in progress that may compute or stream for long.
    ///
    /// Such as exports, verifications and histories.
    public var longRequestsMax = 32
    /// The maximum number of such requests of one token.
    public var longRequestsPerTokenMax = 8

    /// The maximum number of concurrent watchers.
    ///
    /// Each needs a connection, an open file and 16 kB, so the default needs 160 MB. If all of them watch jobs that
    /// change all the time, the server sends to them less often than ten times a second.
    public var watchersMax = 10_000
    /// The maximum number of different lists that are watched at the same time.
    ///
    /// Each costs a query every five seconds.
    public var watchedListsMax = 200
    /// The maximum time without a client reading from its response.
    public var writeTimeout: Duration = .seconds(30)

    public init() {}

    /// The maximum number of segments of a base path.
    private static let basePathSegmentsMax = 8
    /// The first segments of the routes' paths.
    static let routeBeginnings: Set<String> = [
        "v1", "jobs", "pages", "login", "logout", "notifications", "healthz", "readyz", "metrics", "openapi.json",
        "docs", "wall", "workflows.v1.JobService",
    ]

    /// Returns the base path that a text stands for; nil if it is invalid.
    ///
    /// Such as `/tools/ledger`. It has at most eight segments of letters, digits and `-._~`, and does not begin like a
    /// route: the server could not tell whether a proxy has removed it.
    public static func basePath(_ text: String) -> String? {
        guard text != "/" else { return "" }
        guard text.first == "/" else { return nil }
        let segments = text.dropFirst().dropLast(text.last == "/" ? 1 : 0)
        let parts = segments.split(separator: "/", omittingEmptySubsequences: false)
        let isValid = parts.allSatisfy { part in
            // Other characters would have to be escaped in links.
            !part.isEmpty && part != "." && part != ".." && PageLink.encode(String(part)) == part
        }
        return isValid && parts.count <= basePathSegmentsMax && !routeBeginnings.contains(String(parts[0]))
            ? "/" + segments : nil
    }

    /// Whether a text is an origin.
    ///
    /// It has the scheme `http` or `https`, a host, and a port unless that is the default.
    public static func isOrigin(_ text: String) -> Bool { Origin(text) != nil }

    /// The time left to wait for the projection after a write is recorded.
    ///
    /// It ends with six sevenths of ``writeDeadline``: early enough for a busy server to respond before it. Afterwards
    /// the response would be that the outcome is unknown.
    ///
    /// - Parameter start: When the write began.
    func foldDeadline(ofWriteStarted start: ContinuousClock.Instant) -> Duration {
        max(.zero, min(foldDeadline, writeDeadline * 6 / 7 - start.duration(to: .now)))
    }
}
