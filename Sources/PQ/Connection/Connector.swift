internal import CLibPQ
internal import Glibc
internal import Synchronization

/// Makes connections, each on a thread of its own.
///
/// libpq can connect without blocking, but then it resolves names in the way of everybody else on the reactor, and
/// leaves the time-out of each of several hosts to its caller. Connections are made rarely; a thread that may block
/// has both right, by libpq's own code.
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

    /// Whoever comes first answers: the thread that connects, or the cancellation. A connection that comes too late is
    /// closed.
    private final class Attempt: Sendable {
        private let continuation = Mutex<CheckedContinuation<Result<Session, PQError>, Never>?>(nil)
        private let early = Mutex<Result<Session, PQError>?>(nil)

        func begin(_ continuation: CheckedContinuation<Result<Session, PQError>, Never>) {
            self.continuation.withLock { $0 = continuation }
            if let result = early.withLock({ $0.take() }) { finish(result) }
        }

        func finish(_ result: Result<Session, PQError>) {
            guard let waiting = continuation.withLock({ $0.take() }) else {
                early.withLock { $0 = $0 ?? result }
                return
            }
            waiting.resume(returning: result)
        }
    }

    /// Asks whether a server answers at all, on a thread of its own, and calls with the result on that thread.
    ///
    /// It needs neither a valid login nor a free connection of the server: any answer counts, a refusal included.
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

    /// Calls with the settings as libpq reads them: two arrays of C strings, each ended by a null pointer.
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

    /// libpq keeps no SQLSTATE of a connection that was refused, only the text.
    private static func sqlState(in text: String) -> SQLState? {
        let known: [(String, SQLState)] = [
            ("the database system is", .cannotConnectNow), ("too many clients", .tooManyConnections),
            ("remaining connection slots", .tooManyConnections),
            ("too many connections for", .tooManyConnections), ("no more connections allowed", .tooManyConnections),
            ("does not exist", .invalidCatalogName),
        ]
        return known.first { text.contains($0.0) }?.1
    }
}
