internal import Ledger
internal import Tracing

/// The span of an append, from its arrival to its durable commit.
struct AppendSpan: Sendable {
    private let span: any Span

    /// Begins the span, as a part of the caller's.
    init(_ tracer: any Tracer, _ request: AppendRequest) {
        span = tracer.startSpan("append", ofKind: .internal)
        span.attributes["progress_ledger.event.count"] = request.eventCount
        if request.parts.count == 1, let job = request.parts.first?.job {
            span.attributes["progress_ledger.job.id"] = job.description
        }
    }

    /// Returns a callback that ends the span and calls another one.
    func ending(before whenDone: @escaping @Sendable (AppendResult) -> Void) -> @Sendable (AppendResult) -> Void {
        { [span] result in
            if case .failure(let error) = result {
                span.attributes["error.type"] = error.code.rawValue
                span.setStatus(SpanStatus(code: .error))
            }
            span.end()
            whenDone(result)
        }
    }
}
