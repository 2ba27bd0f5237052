/// Talks to a ledger's server over HTTP/1.1: the command line's and the tests' way to it.
///
/// One client holds a bounded number of connections to one server, keeps them open between requests and may be used
/// by any number of tasks at once. Every request has a deadline. A request is sent again, after a growing and random
/// pause, where the server cannot have taken it, or where doing it twice is the same as doing it once; never
/// otherwise: then the failure is ``LedgerClientError/Code/outcomeUnknown``.
///
/// Nothing is queued, batched or sent in the background here: for those who report from tasks there is ``LedgerJob``.
public final class LedgerClient: Sendable {
    /// Limits and waits of a client.
    public struct Settings: Hashable, Sendable {
        /// Connections open at once. Eight saturate a small server, and a server counts them.
        public var connectionsMax = 8
        /// Requests waiting for a connection; more are refused at once. About a second's worth of requests.
        public var waitersMax = 1_000
        /// How long a connection may be idle before it is not used again; below the 75 s after which the server
        /// closes it, so that the two do not meet.
        public var connectionIdleMax = Duration.seconds(30)
        /// How long one try may take, from waiting for a connection to the last byte of the answer. A read that
        /// waits for a change gets its wait in addition.
        public var deadline = Duration.seconds(30)
        /// How long after the first try a request may still be sent again; zero is never.
        public var patience = Duration.seconds(10)
        /// The largest answer that is held in memory. A page of 1,000 events with long names stays below.
        public var answerBytesMax = 64 * 1_048_576
        /// The bearer token that says who asks, where the server wants to know.
        public var token: String?

        public init() {}

        /// The same without values that no timer or counter can hold: a setting must not trap.
        var bounded: Settings {
            func bound(_ duration: Duration) -> Duration { min(max(duration, .zero), .seconds(86_400)) }
            var settings = self
            settings.connectionsMax = max(1, connectionsMax)
            settings.waitersMax = max(0, waitersMax)
            settings.connectionIdleMax = bound(connectionIdleMax)
            settings.deadline = bound(deadline)
            settings.patience = bound(patience)
            settings.answerBytesMax = max(0, answerBytesMax)
            return settings
        }
    }

    /// Where the server is.
    public let address: ServerAddress
    let settings: Settings
    let pool: ConnectionPool
    let contact: LedgerContact

    /// A client of the server at this URL. Connects when it is first used.
    ///
    /// - Parameters:
    ///   - url: `http://HOST:PORT`, with a path where a proxy serves the ledger below one.
    ///   - settings: Limits and waits.
    /// - Throws: ``LedgerClientError/Code/invalidAddress``.
    public convenience init(url: String, settings: Settings = Settings()) throws(LedgerClientError) {
        self.init(address: try ServerAddress(url), settings: settings)
    }

    /// A client of the server at this address. Connects when it is first used.
    public convenience init(address: ServerAddress, settings: Settings = Settings()) {
        self.init(address: address, settings: settings, contact: LedgerContact())
    }

    init(address: ServerAddress, settings: Settings, contact: LedgerContact) {
        let settings = settings.bounded
        self.address = address
        self.settings = settings
        self.contact = contact
        self.pool = ConnectionPool(address: address, settings: settings)
    }

    deinit {
        pool.close()
    }

    /// Closes idle connections now and the others when their requests end. Requests made afterwards fail.
    public func close() {
        pool.close()
    }
}
