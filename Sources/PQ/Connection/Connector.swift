internal import AsyncPrimitives
internal import CLibPQ
internal import Glibc

/// Opens connections, each on a separate thread.
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
        // A connection that is opened after a cancellation is closed.
        let attempt = FirstResult<Session, PQError>()
        Thread.detached(named: "pq-connect") { attempt.end(open(keywords)) }
        let opened = await withTaskCancellationHandler {
            await attempt.wait()
        } onCancel: {
            attempt.end(.failure(PQError(.cancelled, "cancelled while connecting")))
        }
        return try opened.get()
    }

    /// Checks on a separate thread whether a server responds.
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

    /// The maximum duration of a failed attempt that is repeated.
    private static let repeatMax: Duration = .seconds(3)

    private static func open(_ settings: [String: String]) -> Result<Session, PQError> {
        let start = ContinuousClock.now
        let pairs = settings.sorted { $0.key < $1.key }
        guard let handle = unsafe withPointers(pairs, { unsafe PQconnectdbParams($0, $1, 0) }) else {
            return .failure(PQError(.connectionFailed, "libpq has no memory for a connection"))
        }
        if unsafe PQstatus(handle) == CONNECTION_OK { return unsafe .success(Session(handle)) }
        let text = unsafe message(of: handle)
        // libpq has no function for the SQLSTATE of a refused connection, and the message is in the server's language.
        // A verbose message contains the SQLSTATE, but verbosity can only be set on an existing connection. Therefore
        // this function connects again. Timeouts are not repeated.
        guard start.duration(to: .now) < repeatMax else {
            unsafe PQfinish(handle)
            return .failure(failure(text, knownRefusal(in: text)))
        }
        _ = unsafe PQsetErrorVerbosity(handle, PQERRORS_VERBOSE)
        unsafe PQreset(handle)
        _ = unsafe PQsetErrorVerbosity(handle, PQERRORS_DEFAULT)
        if unsafe PQstatus(handle) == CONNECTION_OK { return unsafe .success(Session(handle)) }
        defer { unsafe PQfinish(handle) }
        return unsafe .failure(failure(text, sqlState(in: message(of: handle)) ?? knownRefusal(in: text)))
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

    private static func message(of handle: OpaquePointer) -> String {
        unsafe String(cString: PQerrorMessage(handle)).split(separator: "\n").joined(separator: "; ")
    }

    private static func failure(_ text: String, _ sqlState: SQLState?) -> PQError {
        PQError(.connectionFailed, "no connection to PostgreSQL: \(text)", sqlState: sqlState)
    }

    /// The SQLSTATE of a refusal in English, for an attempt that is not repeated.
    private static func knownRefusal(in text: String) -> SQLState? {
        let patterns: [(String, SQLState)] = [
            ("the database system is", .cannotConnectNow), ("too many clients", .tooManyConnections),
            ("remaining connection slots", .tooManyConnections), ("too many connections for", .tooManyConnections),
            ("no more connections allowed", .tooManyConnections),
        ]
        return patterns.first { text.contains($0.0) }?.1
    }

    /// The SQLSTATE in a verbose message, which is `SEVERITY:  SQLSTATE: text`.
    ///
    /// It is the last one if several hosts refused.
    static func sqlState(in text: String) -> SQLState? {
        let fields = text.split(separator: ":").map { $0.filter { $0 != " " } }
        return fields.last { field in
            field.utf8.count == 5 && field.utf8.allSatisfy { ($0 >= 0x30 && $0 <= 0x39) || ($0 >= 0x41 && $0 <= 0x5A) }
                && field.utf8.contains { $0 >= 0x30 && $0 <= 0x39 }
        }.map { SQLState(rawValue: $0) }
    }
}
