internal import Tracing

/// The span of a query or a transaction.
///
/// It lasts from the request for a connection to its release. It contains no statement and no message of the server,
/// because both may contain data.
struct PoolSpan: Sendable {
    private let span: any Span

    /// Begins the span, as a part of the current one.
    init(_ tracer: any Tracer, pool: String) {
        span = tracer.startSpan("query", ofKind: .client)
        span.attributes["db.system.name"] = "postgresql"
        span.attributes["db.client.connection.pool.name"] = pool
    }

    /// Records that a connection is available.
    func acquired() { span.addEvent(SpanEvent(name: "connection acquired")) }

    /// Ends the span.
    ///
    /// - Parameter error: The failure; nil for a success.
    func end(_ error: (any Error)?) {
        if let error {
            let known = error as? PQError
            if let state = known?.sqlState { span.attributes["db.response.status_code"] = "\(state)" }
            span.attributes["error.type"] = known?.code.rawValue ?? "\(type(of: error))"
            span.setStatus(SpanStatus(code: .error))
        }
        span.end()
    }
}
