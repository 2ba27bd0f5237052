import InMemoryTracing
import Ledger
import LedgerStore
import LedgerTestSupport
import Testing
import Tracing

@testable import LedgerHTTP

/// A tracing backend in memory that reads the W3C's trace context.
///
/// Backends for OpenTelemetry do so too.
private struct TraceContextTracer: Tracer {
    private let memory = InMemoryTracer()

    var finishedSpans: [FinishedInMemorySpan] { memory.finishedSpans }
    var activeSpanCount: Int { memory.activeSpans.count }

    func startSpan<Instant: TracerInstant>(
        _ operationName: String, context: @autoclosure () -> ServiceContext, ofKind kind: SpanKind,
        at instant: @autoclosure () -> Instant, function: String, file fileID: String, line: UInt
    ) -> InMemorySpan {
        memory.startSpan(
            operationName, context: context(), ofKind: kind, at: instant(), function: function, file: fileID, line: line
        )
    }

    func forceFlush() {}

    func inject<Carrier, Inject: Injector>(
        _ context: ServiceContext, into carrier: inout Carrier, using injector: Inject
    ) where Inject.Carrier == Carrier {}

    func extract<Carrier, Extract: Extractor>(
        _ carrier: Carrier, into context: inout ServiceContext, using extractor: Extract
    ) where Extract.Carrier == Carrier {
        guard let value = extractor.extract(key: "traceparent", from: carrier) else { return }
        let parts = value.split(separator: "-")
        context.inMemorySpanContext = InMemorySpanContext(
            traceID: String(parts[1]), spanID: String(parts[2]), parentSpanID: nil)
    }
}

extension FinishedInMemorySpan {
    fileprivate func attribute(_ name: String) -> String? {
        attributes.get(name).map { attribute in
            switch attribute {
            case .int32(let value): "\(value)"
            case .int64(let value): "\(value)"
            case .string(let value): value
            default: "\(attribute)"
            }
        }
    }
}

@Suite("Spans")
struct SpanTests {
    private static let traceID = "0af7651916cd43dd8448eb211c80319c"
    private static let spanID = "b7ad6b7169203331"
    private static let traceparent = ["traceparent": "00-\(traceID)-\(spanID)-01"]
    private static let unknownJob = "0190b5a1-7c1e-7a3b-9d2f-4c5e6f708192"
    private static let secret = "secret"

    /// The text of all spans.
    private static func text(_ spans: [FinishedInMemorySpan]) -> String {
        spans.map { span in
            var parts = [span.operationName] + span.errors.map { "\($0.error)" } + span.events.map(\.name)
            span.attributes.forEach { parts.append("\($0)=\($1)") }
            return parts.joined(separator: " ")
        }.joined(separator: "\n")
    }

    @Test("each request has a span below that of its traceparent, on every path", arguments: [false, true])
    func requests(overHTTP2: Bool) async throws {
        let tracer = TraceContextTracer()
        var settings = ServerSettings()
        settings.port = 0
        try await withServer(on: InMemoryLedger(), settings, tracer: tracer) { client in
            let job = try await client.createJob(Self.secret)
            let append = "/v1/jobs/{job}/events"
            let cases: [(method: String, path: String, name: String, status: Int, job: String?)] = [
                ("GET", "/v1/jobs/\(job)", "GET /v1/jobs/{job}", 200, job),
                ("GET", "/v1/jobs/\(Self.unknownJob)", "GET /v1/jobs/{job}", 404, Self.unknownJob),
                ("POST", "/v1/jobs/\(job)/events", "POST \(append)", 201, job),
                ("POST", "/v1/jobs/\(job)/events?wait=folded", "POST \(append)", 201, job),
                ("GET", "/v1/limits?search=\(Self.secret)", "GET /v1/limits", 200, nil),
                ("GET", "/v1/\(Self.secret)", "GET", 404, nil),
                ("GET", "/v1/jobs/\(Self.unknownJob)/watch", "GET /v1/jobs/{job}/watch", 404, Self.unknownJob),
            ]
            for (method, path, name, status, job) in cases {
                let before = tracer.finishedSpans.count
                let headers = Self.traceparent.merging(["Authorization": "Bearer \(Self.secret)"]) { $1 }
                let body = method == "POST" ? Self.report : nil
                let response =
                    overHTTP2
                    ? try await client.requestOverHTTP2(
                        method, path, headers: headers.merging(Self.json) { $1 }, body: body.map { Array($0.utf8) })
                    : try await client.send(method, path, headers.merging(Self.json) { $1 }, body)
                #expect(response.status == status, "\(path)")
                let spans = tracer.finishedSpans.dropFirst(before)
                let span = try #require(spans.first, "\(path)")
                #expect(spans.count == 1 && span.operationName == name && span.kind == .server, "\(path)")
                #expect(span.traceID == Self.traceID && span.parentSpanID == Self.spanID, "\(path)")
                #expect(span.attribute("http.request.method") == method, "\(path)")
                #expect(span.attribute("http.response.status_code") == "\(status)", "\(path)")
                #expect(span.attribute("http.route") == name.split(separator: " ").dropFirst().first.map { String($0) })
                #expect(span.attribute("progress_ledger.job.id") == job, "\(path)")
            }
            #expect(!Self.text(tracer.finishedSpans).contains(Self.secret))
            #expect(tracer.activeSpanCount == 0)
        }
    }

    private static let json = ["Content-Type": "application/json"]
    private static let report = #"{"type":"progress","task":"\#(secret)","label":"\#(secret)","total":1}"#

    @Test("a request with an invalid traceparent begins a trace of its own")
    func invalidParents() async throws {
        let tracer = TraceContextTracer()
        var settings = ServerSettings()
        settings.port = 0
        try await withServer(on: InMemoryLedger(), settings, tracer: tracer) { client in
            for invalid in ["00-\(Self.traceID)-\(Self.spanID)", "ff-\(Self.traceID)-\(Self.spanID)-01"] {
                _ = try await client.send("GET", "/v1/jobs/\(Self.unknownJob)", ["traceparent": invalid])
                _ = try await client.send("GET", "/v1/jobs", ["traceparent": invalid])
            }
            #expect(tracer.finishedSpans.count == 4)
            #expect(tracer.finishedSpans.allSatisfy { $0.parentSpanID == nil && $0.traceID != Self.traceID })
        }
    }

    @Test("the span of a stream ends when the stream begins")
    func streams() async throws {
        let tracer = TraceContextTracer()
        var settings = ServerSettings()
        settings.port = 0
        try await withServer(on: InMemoryLedger(), settings, tracer: tracer) { client in
            let job = try await client.createJob()
            let before = tracer.finishedSpans.count
            try await EventSource.open(client, "/v1/jobs/\(job)/watch") { source in
                _ = try await source.next()
                let spans = tracer.finishedSpans.dropFirst(before)
                #expect(spans.map(\.operationName) == ["GET /v1/jobs/{job}/watch"])
                #expect(spans.first?.attribute("http.response.status_code") == "200")
            }
        }
    }

    @Test("appends and queries have spans below their request's, steps of the projection their own")
    func ledgerSpans() async throws {
        let tracer = TraceContextTracer()
        var settings = ServerSettings()
        settings.port = 0
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, tracer: tracer) { ledger in
                try await withServer(on: ledger, settings, tracer: tracer) { client in
                    let job = try await client.createJob(Self.secret)
                    for path in ["/v1/jobs/\(job)/events", "/v1/jobs/\(job)/events?wait=folded"] {
                        let response = try await client.send(
                            "POST", path, Self.traceparent.merging(Self.json) { $1 }, Self.report)
                        #expect(response.status == 201)
                    }
                    // A long read is cancelled if its client has closed its output.
                    _ = try await client.get("/v1/jobs", headers: Self.traceparent)
                    let spans = tracer.finishedSpans
                    func parent(_ span: FinishedInMemorySpan) -> FinishedInMemorySpan? {
                        spans.first { $0.spanID == span.parentSpanID }
                    }
                    let appends = spans.filter { $0.operationName == "append" }
                    #expect(appends.count == 2)
                    for append in appends {
                        #expect(append.traceID == Self.traceID)
                        #expect(parent(append)?.operationName == "POST /v1/jobs/{job}/events")
                        #expect(append.attribute("progress_ledger.job.id") == job)
                        #expect(append.attribute("progress_ledger.event.count") == "1")
                    }
                    let queries = spans.filter { $0.operationName == "query" }
                    #expect(queries.contains { parent($0)?.operationName == "GET /v1/jobs" })
                    #expect(queries.contains { parent($0)?.operationName == "project" })
                    // The transaction of a group of appends belongs to no single caller.
                    let appending = queries.filter {
                        $0.attribute("db.client.connection.pool.name") == "progress-ledger appender"
                            && $0.traceID == Self.traceID
                    }
                    #expect(appending.isEmpty)
                    #expect(queries.allSatisfy { $0.kind == .client && $0.attribute("db.system.name") == "postgresql" })
                    #expect(queries.allSatisfy { $0.events.map(\.name) == ["connection acquired"] })
                    let steps = spans.filter { $0.operationName == "project" }
                    #expect(!steps.isEmpty && steps.allSatisfy { $0.parentSpanID == nil })
                    #expect(steps.contains { $0.attribute("progress_ledger.job.id") == job })
                    #expect(!Self.text(spans).contains(Self.secret))
                }
            }
        }
    }
}
