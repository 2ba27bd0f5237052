/// How the HTTP server behaves. Every limit is here, with its reason.
public struct ServerSettings: Sendable {
    /// The address to listen on.
    public var host = "127.0.0.1"
    /// The port to listen on; 0 picks a free one.
    public var port = 8080
    /// Connections at once. Beyond, the ones that have been idle for longest are closed; if none is idle, a new one is
    /// refused with 503.
    public var connectionsMax = 16_384
    /// The fewest connections with which a server is of use.
    public static let connectionsMin = 64
    /// Connections beyond ``connectionsMax`` that are told so at once; more wait in the system's queue.
    public static let refusedConnectionsMax = 64
    /// The body of one request, in bytes.
    public var bodyBytesMax = 16 << 20
    /// The bodies of all requests that are being read, in bytes: four of the largest, or thousands of reports. What does
    /// not fit is refused with 503.
    public var bodiesBytesMax = 64 << 20
    /// How long a body may take to arrive, however it drips.
    public var bodyDeadline: Duration = .seconds(30)
    /// How long a connection may say nothing, within a request or between two.
    public var idleSeconds = 75
    /// How long `?wait=folded`, a start and `min_sequence` wait for the projection.
    public var foldDeadline: Duration = .seconds(5)
    /// How long a request that reads may take to be answered, beside what `Prefer: wait` asks it to wait.
    public var readDeadline: Duration = .seconds(10)
    /// How long a request that writes may take to be answered once it has arrived: longer than the ledger takes to settle
    /// what became of a commit.
    public var writeDeadline: Duration = .seconds(35)
    /// How long `Prefer: wait` may wait.
    public var preferWaitMax = 30

    /// Watchers at once. Each is a connection, an open file and 16 kB, so as many as this take 160 MB. Where they all watch
    /// what changes all the time, they are sent it less often than ten times a second.
    public var watchersMax = 10_000
    /// Different lists of jobs that are watched at once. Each costs a query every five seconds.
    public var watchedListsMax = 200
    /// How long a client may take nothing of its answer.
    public var answerDeadline: Duration = .seconds(30)

    public init() {}

    /// What is left to wait for the projection after a write that has begun at this moment is recorded: so much that the
    /// response is sent before ``writeDeadline``, after which the client would be told that the outcome is unknown.
    func foldDeadline(ofWriteBegun start: ContinuousClock.Instant) -> Duration {
        max(.zero, min(foldDeadline, writeDeadline - .seconds(1) - start.duration(to: .now)))
    }
}
