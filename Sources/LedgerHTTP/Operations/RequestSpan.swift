internal import Ledger
internal import NIOHTTP1
internal import Tracing

/// The span of a request, from its head to its response.
///
/// Its attributes follow OpenTelemetry's conventions for HTTP servers. They contain neither the path nor the query,
/// because these are text of the client.
struct RequestSpan: Sendable {
    private let span: any Span

    /// The context of the work for the request.
    var context: ServiceContext { span.context }

    /// Begins a span.
    ///
    /// Its parent is the span in the headers of the request, which the backend reads.
    init(
        _ tracer: any Tracer, _ method: String, _ headers: HTTPHeaders,
        at start: DefaultTracerClock.Timestamp = DefaultTracerClock.now
    ) {
        var context = ServiceContext.topLevel
        tracer.extract(headers, into: &context, using: HeaderExtractor())
        span = tracer.startSpan(method, context: context, ofKind: .server, at: start)
        span.attributes["http.request.method"] = method
    }

    /// Ends the span.
    ///
    /// - Parameters:
    ///   - route: The path of the route with the names of its parameters; nil if no route was reached.
    ///   - job: The job in the path.
    func end(route: String?, job: JobID?, status: Int) {
        if let route {
            span.operationName = "\(span.operationName) \(route)"
            span.attributes["http.route"] = route
        }
        if let job { span.attributes["progress_ledger.job.id"] = job.description }
        span.attributes["http.response.status_code"] = status
        if status >= 500 {
            span.attributes["error.type"] = "\(status)"
            span.setStatus(SpanStatus(code: .error))
        }
        span.end()
    }
}

/// The access of a tracing backend to the header of a request.
private struct HeaderExtractor: Extractor {
    func extract(key: String, from headers: HTTPHeaders) -> String? {
        let values = headers[key]
        // An invalid trace context is ignored, whatever the backend would make of it.
        if key.isField("traceparent") { return values.count == 1 && TraceContext(values[0]) != nil ? values[0] : nil }
        return values.isEmpty ? nil : values.joined(separator: ", ")
    }
}
