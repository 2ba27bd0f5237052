internal import CLibPQ
internal import Glibc
internal import Synchronization

/// Opens connections, each on a thread of its own.
///
/// libpq can connect without blocking, but then it resolves names on the reactor's thread, which blocks every other
/// connection, and leaves the timeout of each of several hosts to its caller. Connections are opened rarely. On a
/// thread that may block, libpq's own code handles both.
enum Connector {
    static func connect(to target: ConnectionTarget, deadline: Duration) async throws(PQError) -> Session {
        let timeout = max(2, Int(deadline.components.seconds))
        var settings = target.settings
        if settings["connect_timeout"] == nil { settings["connect_timeout"] = String(timeout) }
        let keywords = settings
        let attempt = Attempt()
        let opened: Result<Session, PQError> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                attempt.begin(continuation)
                Thread.detached(named: "pq-connect") { attempt.finish(open(keywords)) }
            }
        } onCancel: {
            attempt.finish(.failure(PQError(.cancelled, "cancelled while connecting")))
        }
        return try opened.get()
    }

    /// A connection attempt that the connecting thread or a cancellation ends.
    ///
    /// The first of the two determines the result. A connection that is opened too late is closed.
    private final class Attempt: Sendable {
        private let continuation = Mutex<CheckedContinuation<Result<Session, PQError>, Never>?>(nil)
        private let earlyResult = Mutex<Result<Session, PQError>?>(nil)

        func begin(_ continuation: CheckedContinuation<Result<Session, PQError>, Never>) {
            self.continuation.withLock { $0 = continuation }
            if let result = earlyResult.withLock({ $0.take() }) { finish(result) }
        }

        func finish(_ result: Result<Session, PQError>) {
            guard let waiting = continuation.withLock({ $0.take() }) else {
                earlyResult.withLock { $0 = $0 ?? result }
                return
            }
            waiting.resume(returning: result)
        }
    }

    /// Asks on a separate thread whether a server responds at all.
    ///
    /// The closure is called with the result on that thread. The ping needs neither a valid login nor a free connection
    /// of the server: every response counts, a refusal included.
    static func ping(
        _ target: ConnectionTarget, timeout: Duration, whenDone: @escaping @Sendable (_ isAnswering: Bool) -> Void
    ) {
        let settings = target.setting("connect_timeout", String(max(2, timeout.components.seconds))).settings
        Thread.detached(named: "pq-ping") {
            let status = unsafe withPointers(settings.sorted { $0.key < $1.key }) { keywords, values in
                unsafe PQpingParams(keywords, values, 0)
            }
            whenDone(status != PQPING_NO_RESPONSE)
        }
    }

    private static func open(_ settings: [String: String]) -> Result<Session, PQError> {
        let pairs = settings.sorted { $0.key < $1.key }
        guard let handle = unsafe withPointers(pairs, { unsafe PQconnectdbParams($0, $1, 0) }) else {
            return .failure(PQError(.connectionFailed, "libpq has no memory for a connection"))
        }
        guard unsafe PQstatus(handle) == CONNECTION_OK else {
            defer { unsafe PQfinish(handle) }
            return unsafe .failure(failure(of: handle))
        }
        return unsafe .success(Session(handle))
    }

    /// Calls the closure with the settings in libpq's format.
    ///
    /// This is two arrays of C strings, each ended by a null pointer.
    private static func withPointers<R>(
        _ pairs: [(key: String, value: String)],
        _ body: ([UnsafePointer<CChar>?], [UnsafePointer<CChar>?]) -> R
    ) -> R {
        // Each text is copied, so that its address lasts until libpq has read it.
        let keywords = unsafe pairs.map { unsafe strdup($0.key) }
        let values = unsafe pairs.map { unsafe strdup($0.value) }
        defer {
            for index in pairs.indices {
                unsafe free(keywords[index])
                unsafe free(values[index])
            }
        }
        let keywordPointers = unsafe keywords.map { unsafe UnsafePointer($0) } + [nil]
        let valuePointers = unsafe values.map { unsafe UnsafePointer($0) } + [nil]
        return unsafe body(keywordPointers, valuePointers)
    }

    private static func failure(of handle: OpaquePointer) -> PQError {
        let text = unsafe String(cString: PQerrorMessage(handle)).split(separator: "\n").joined(separator: "; ")
        return PQError(.connectionFailed, "no connection to PostgreSQL: \(text)", sqlState: sqlState(in: text))
    }

    /// Derives the SQLSTATE of a refused connection from libpq's text.
    ///
    /// libpq keeps no SQLSTATE in this case.
    private static func sqlState(in text: String) -> SQLState? {
        let patterns: [(String, SQLState)] = [
            ("the database system is", .cannotConnectNow), ("too many clients", .tooManyConnections),
            ("remaining connection slots", .tooManyConnections),
            ("too many connections for", .tooManyConnections), ("no more connections allowed", .tooManyConnections),
            ("does not exist", .invalidCatalogName),
        ]
        return patterns.first { text.contains($0.0) }?.1
    }
}
