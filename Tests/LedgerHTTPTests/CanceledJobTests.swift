import LedgerHTTP
import LedgerTestSupport
import LedgerWire
import Testing

@Suite("Jobs that end while workers report")
struct CanceledJobTests {
    private static let cancel = #"{"type":"job_finished","outcome":"canceled"}"#

    @Test("a start with unless_canceled is refused if the job is canceled, and nothing is recorded")
    func refusedStart() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            let path = "/v1/jobs/\(job)/executions"
            let first = try await client.post(path, #"{"task":"t","unless_canceled":true}"#)
            #expect(try first.status == 201 && first.json["job_state"]?.text == "running")
            _ = try await client.post("/v1/jobs/\(job)/events", Self.cancel)
            let refused = try await client.post(path, #"{"task":"t","unless_canceled":true}"#)
            #expect(try refused.status == 409 && refused.json["title"]?.text == "Job canceled")
            #expect(try refused.json["job_state"]?.text == "canceled")
            #expect(try await client.get("/v1/jobs/\(job)").json["ledger_sequence"] == .integer(3))
            for body in [#"{"task":"t"}"#, #"{"task":"t","unless_canceled":false}"#] {
                let reopening = try await client.post(path, body)
                #expect(try reopening.status == 201 && reopening.json["job_state"]?.text == "running")
            }
            #expect(try await client.post(path, #"{"task":"t","unless_canceled":1}"#).pointers == ["/unless_canceled"])
        }
    }

    @Test("an append with unless_canceled is refused as a whole")
    func refusedAppend() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            let events = #"[{"type":"execution_started","task":"t","execution":"e"},{"type":"progress","task":"u"}]"#
            let path = "/v1/jobs/\(job)/events?unless_canceled=true"
            #expect(try await client.post(path, events).status == 201)
            _ = try await client.post("/v1/jobs/\(job)/events", Self.cancel)
            let refused = try await client.post("\(path)&wait=folded", events)
            #expect(try refused.status == 409 && refused.json["job_state"]?.text == "canceled")
            #expect(try await client.get("/v1/jobs/\(job)").json["ledger_sequence"] == .integer(4))
            #expect(try await client.post("/v1/jobs/\(job)/events?unless_canceled=1", events).status == 422)
        }
    }

    @Test("if the fold cannot decide in time, nothing is recorded: 503 with Retry-After")
    func undecided() async throws {
        var settings = ServerSettings()
        settings.port = 0
        try await withServer(on: InMemoryLedger(isFolding: false), settings) { client in
            let job = try await client.createJob()
            _ = try await client.post("/v1/jobs/\(job)/events", Self.cancel)
            let path = "/v1/jobs/\(job)/executions"
            let refused = try await client.post(path, #"{"task":"t","unless_canceled":true}"#)
            #expect(try refused.status == 503 && refused.json["title"]?.text == "Projection behind")
            #expect(refused.headers["retry-after"] != nil)
            #expect(try await client.get("/v1/jobs/\(job)").json["ledger_sequence"] == .integer(2))
        }
    }

    @Test("the response to every append contains the state of the job")
    func appendedState() async throws {
        try await withPostgresServer { client, _ in
            let job = try await client.createJob()
            let path = "/v1/jobs/\(job)/events"
            let event = #"{"type":"progress","task":"t"}"#
            // The first one takes the fast path.
            #expect(try await client.post(path, event).json["job_state"]?.text == "running")
            #expect(try await client.post("\(path)?wait=folded", event).json["job_state"]?.text == "running")
            let ended = try await client.post("\(path)?wait=folded", Self.cancel)
            #expect(try ended.json["job_state"]?.text == "canceled")
            #expect(try await client.post(path, event).json["job_state"]?.text == "canceled")
            let collected = try await client.post("/v1/events", #"[{"job":"\#(job)","type":"progress","task":"t"}]"#)
            #expect(try collected.json["jobs"]?[job]?["job_state"]?.text == "canceled")
        }
    }

    @Test("a job without running tasks is idle since its last event, until it ends")
    func idle() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            func read() async throws -> JSONValue { try await client.get("/v1/jobs/\(job)").json }
            #expect(try await read()["idle_since"] == .null)
            let path = "/v1/jobs/\(job)/events?wait=folded"
            _ = try await client.post(path, #"{"type":"execution_started","task":"t","execution":"e"}"#)
            #expect(try await read()["idle_since"] == .null)
            let end = #"{"type":"execution_finished","task":"t","execution":"e","outcome":"failed"}"#
            _ = try await client.post(path, end)
            let idle = try await read()
            #expect(idle["idle_since"]?.text != nil && idle["idle_since"] == idle["updated_at"])
            #expect(
                try await client.get("/jobs/\(job)").textWithoutID.contains("UTC</time>: all tasks have ended"))
            _ = try await client.post(path, #"{"type":"execution_started","task":"u","execution":"e"}"#)
            #expect(try await read()["idle_since"] == .null)
            _ = try await client.post(path, Self.cancel)
            let ended = try await read()
            #expect(ended["idle_since"] == .null && ended["tasks"]?["abandoned"] == .integer(1))
            #expect(ended["tasks"]?["running"] == .integer(0))
        }
    }
}
