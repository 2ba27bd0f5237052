import Ledger
import LedgerHTTP
import LedgerStore
import LedgerTestSupport
import LedgerWire
import NIOCore
import Testing

func ByteBufferOf(_ text: String) -> ByteBuffer { ByteBuffer(string: text) }

@Suite("Routes")
struct RouteTests {
    @Test("names and labels of any script, with quotes, HTML and SQL, come back exactly")
    func exactTexts() async throws {
        try await withPostgresServer { client, _ in
            let texts = [
                "\u{1F469}\u{200D}\u{1F680}", "\u{05E9}\u{05DC}\u{05D5}\u{05DD} \u{202E}abc", "e\u{301}", "\u{e9}",
                "'; drop table ledger.event; --", "<script>alert(1)</script>", "a\"b\\c\u{8}\n\t\u{7f}", " x ",
                "\u{10FFFF}\u{FFFE}",
            ]
            for text in texts {
                var writer = JSONWriter()
                writer.object { writer in
                    writer.field("name", text)
                    writer.name("tags")
                    writer.object { $0.field(text, text) }
                }
                let created = try await client.post("/v1/jobs", String(decoding: writer.bytes, as: UTF8.self))
                #expect(created.status == 201)
                let newJob = try JobView(try created.json)
                #expect(newJob.description == JobDescription(name: Name(text), tags: [Name(text): Name(text)]))
                var event = JSONWriter()
                event.object { writer in
                    for (name, value) in [("type", "progress"), ("task", text), ("execution", text), ("label", text)] {
                        writer.field(name, value)
                    }
                    writer.field("total", 3)
                }
                let appended = try await client.post(
                    "/v1/jobs/\(newJob.id)/events?wait=folded", String(decoding: event.bytes, as: UTF8.self))
                #expect(try appended.json["verdicts"]?.elements == [.string("counted")])
                let job = try JobView(try await client.get("/v1/jobs/\(newJob.id)/progress").json)
                #expect(job.snapshot.indicators.map(\.label) == [Name(text)])
                let events = try await client.get("/v1/jobs/\(newJob.id)/events?type=progress").json["events"]?.elements
                let read = try ExplainedEvent(try #require(events?.first))
                #expect(read.event.body.reference == ExecutionReference(task: Name(text), execution: Name(text)))
            }
        }
    }

    @Test("a repeated creation with an Idempotency-Key returns the same job, with other content 422")
    func idempotencyKey() async throws {
        try await withServer { client, _ in
            func create(_ body: String, _ key: String) async throws -> RawResponse {
                try await client.request(
                    "POST", "/v1/jobs", headers: ["Content-Type": "application/json", "Idempotency-Key": key],
                    body: Array(body.utf8))
            }
            let first = try await create(#"{"name":"a"}"#, "key-1")
            let again = try await create(#"{"name": "a", "tags": {}}"#, "key-1")
            #expect(first.status == 201 && again.status == 200)
            #expect(try first.json["job"] == again.json["job"])
            let other = try await create(#"{"name":"b"}"#, "key-1")
            #expect(try other.status == 422 && other.json["title"]?.text == "Idempotency-Key reused")
            for key in ["", "a b", String(repeating: "x", count: 256)] {
                #expect(try await create(#"{"name":"a"}"#, key).status == 422, "\(key)")
            }
        }
    }

    @Test("an array, lines and a collector's batch are appended completely and in order")
    func appends() async throws {
        try await withServer { client, _ in
            let first = try await client.createJob("first")
            let second = try await client.createJob("second")
            let array = try await client.post(
                "/v1/jobs/\(first)/events",
                #"[{"type":"progress","task":"a"},{"type":"progress","task":"b","done":1.0}]"#)
            #expect(array.status == 201)
            #expect(try array.json["first_sequence"] == .integer(2))
            #expect(try array.json["last_sequence"] == .integer(3))
            let lines = try await client.post(
                "/v1/jobs/\(first)/events",
                "{\"type\":\"progress\",\"task\":\"c\"}\r\n\n{\"type\":\"job_finished\",\"outcome\":\"failed\"}",
                type: "application/x-ndjson; charset=utf-8")
            #expect(try lines.json["last_sequence"] == .integer(5))
            let batch = #"""
                [{"job":"\#(first)","type":"progress","task":"d"},{"job":"\#(second)","type":"progress","task":"e"},
                 {"job":"\#(first)","type":"progress","task":"f"}]
                """#
            let collected = try await client.post("/v1/events", batch)
            #expect(collected.status == 201)
            #expect(try collected.json["appended"] == .integer(3))
            #expect(try collected.json["jobs"]?[first]?["last_sequence"] == .integer(7))
            #expect(try collected.json["jobs"]?[second]?["last_sequence"] == .integer(2))
            let unknownJob = "01900000-0000-7000-8000-000000000000"
            let refused = try await client.post(
                "/v1/events",
                #"[{"job":"\#(first)","type":"progress","task":"x"},{"job":"\#(unknownJob)","type":"progress","task":"x"},{"job":"x","type":"progress","task":"x"}]"#
            )
            #expect(refused.status == 422)
            #expect(try refused.pointers == ["/2/job"])
            let rejected = try await client.post(
                "/v1/events",
                #"[{"job":"\#(first)","type":"progress","task":"x"},{"job":"\#(unknownJob)","type":"progress","task":"x"}]"#
            )
            #expect(rejected.status == 422)
            #expect(try rejected.pointers == ["/1/job"])
            #expect(try await client.get("/v1/jobs/\(first)").json["ledger_sequence"] == .integer(7))
        }
    }

    @Test("a repeated start returns the same execution; a superseded or other attempt is fenced")
    func starts() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            let path = "/v1/jobs/\(job)/executions"
            let unnamed = try await client.post(path, #"{"task":"t"}"#)
            #expect(unnamed.status == 201)
            #expect(try unnamed.json["attempt"] == .integer(1))
            let name = try #require(try unnamed.json["execution"]?.text)
            let repeated = try await client.post(path, #"{"task":"t","execution":"\#(name)"}"#)
            #expect(repeated.status == 201)
            #expect(try repeated.json == unnamed.json)
            let newer = try await client.post(path, #"{"task":"t","execution":"second"}"#)
            #expect(try newer.json["attempt"] == .integer(2))
            let zombie = try await client.post(path, #"{"task":"t","execution":"\#(name)"}"#)
            #expect(zombie.status == 409)
            #expect(zombie.headers["content-type"] == "application/problem+json")
            #expect(try zombie.json["attempt"] == .integer(1))
            #expect(try zombie.json["sequence"] == .integer(2))
            #expect(try zombie.json["last"]?["execution"]?.text == "second")
            #expect(try zombie.json["last"]?["attempt"] == .integer(2))
            let other = try await client.post(path, #"{"task":"t","execution":"second","attempt":7}"#)
            #expect(other.status == 409)
            #expect(try other.json["attempt"] == .integer(2))
            let late = try await client.post(path, #"{"task":"t","attempt":1}"#)
            #expect(late.status == 409)
            #expect(try await client.get("/v1/jobs/\(job)").json["ledger_sequence"] == .integer(7))
        }
    }

    @Test("an unchanged snapshot is 304, and a wait for a change ends with the change")
    func conditionalReads() async throws {
        try await withServer { client, ledger in
            let job = try await client.createJob()
            let first = try await client.get("/v1/jobs/\(job)/progress")
            let tag = try #require(first.headers["etag"])
            let same = try await client.get("/v1/jobs/\(job)/progress", headers: ["If-None-Match": tag])
            #expect(same.status == 304)
            #expect(same.body.isEmpty)
            async let waiting = client.get(
                "/v1/jobs/\(job)/progress", headers: ["If-None-Match": "\"x\", \(tag)", "Prefer": "wait=60"])
            let started = ContinuousClock.now
            _ = try await client.post("/v1/jobs/\(job)/events", #"{"type":"progress","task":"t","total":2,"done":1}"#)
            let changed = try await waiting
            #expect(changed.status == 200)
            #expect(started.duration(to: .now) < .seconds(50))
            #expect(try changed.json["progress"]?.elements?.first?["percent"] == .integer(50))
            let briefly = try await client.get(
                "/v1/jobs/\(job)/progress",
                headers: ["If-None-Match": try #require(changed.headers["etag"]), "Prefer": "wait=1"])
            #expect(briefly.status == 304)
            #expect(briefly.headers["preference-applied"] == "wait=1")
        }
    }

    @Test("a read with min_sequence shows the client's own write")
    func readsOwnWrites() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            for number in 1...20 {
                let appended = try await client.post(
                    "/v1/jobs/\(job)/events", #"{"type":"progress","task":"t","done":1}"#)
                let sequence = try #require(try appended.json["last_sequence"]?.integer)
                let read = try await client.get("/v1/jobs/\(job)/progress?min_sequence=\(sequence)")
                #expect(try read.json["progress"]?.elements?.first?["done"] == .integer(Int128(number)))
            }
        }
    }

    @Test("pages continue at their cursor, a stream has all events, and jobs are newest first")
    func pages() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob("listed")
            let line = #"{"type":"progress","task":"t","label":"l","done":1}"# + "\n"
            _ = try await client.post(
                "/v1/jobs/\(job)/events", String(repeating: line, count: 1_200), type: "application/x-ndjson")
            var sequences: [Int128] = []
            var after: Int128? = 0
            while let position = after {
                let page = try await client.get("/v1/jobs/\(job)/events?limit=500&after=\(position)").json
                sequences += (page["events"]?.elements ?? []).compactMap { $0["sequence"]?.integer }
                after = page["next_after"]?.integer
            }
            #expect(sequences == (1...1_201).map { Int128($0) })
            let stream = try await client.get("/v1/jobs/\(job)/events", headers: ["Accept": "application/x-ndjson"])
            #expect(stream.body.split(separator: 0x0A).count == 1_201)
            let newer = try await client.createJob("newer")
            let list = try await client.get("/v1/jobs?limit=1").json
            #expect(list["jobs"]?.elements?.first?["job"]?.text == newer)
            let next = try #require(list["next_cursor"]?.text)
            #expect(
                try await client.get("/v1/jobs?limit=1&cursor=\(next)").json["jobs"]?.elements?.first?["job"]?.text
                    == job)
            #expect(try await client.get("/v1/jobs?name=listed&state=running").json["jobs"]?.elements?.count == 1)
            #expect(try await client.get("/v1/jobs?name=listed&state=failed").json["jobs"]?.elements?.isEmpty == true)
        }
    }

    @Test("tasks show which executions count, which do not, and which count provisionally")
    func tasks() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            let events = """
                [{"type":"progress","task":"a","attempt":1,"total":5,"done":3},
                {"type":"progress","task":"a","attempt":2,"label":"x","done":1},
                {"type":"execution_finished","task":"a","attempt":2,"outcome":"failed"},
                {"type":"execution_started","task":"b","execution":"first"}]
                """
            #expect(try await client.post("/v1/jobs/\(job)/events?wait=folded", events).status == 201)
            let page = try await client.get("/v1/jobs/\(job)/tasks").json
            #expect(page["sequence"] == .integer(5))
            #expect(page["next_cursor"] == .null)
            let tasks = try #require(page["tasks"]?.elements)
            #expect(tasks.map { $0["task"]?.text } == ["a", "b"])
            #expect(tasks.map { $0["state"]?.text } == ["failed", "running"])
            let executions = try #require(tasks[0]["executions"]?.elements)
            #expect(executions.map { $0["attempt"] } == [.integer(1), .integer(2)])
            #expect(executions.map { $0["counted"] } == [.bool(false), .bool(true)])
            #expect(executions.map { $0["provisional"] } == [.bool(false), .bool(true)])
            #expect(executions.map { $0["outcome"] } == [.null, .string("failed")])
            let reported = try #require(executions[0]["progress"]?.elements?.first)
            #expect(reported["label"] == .null && reported["total"] == .integer(5) && reported["done"] == .integer(3))
            let first = try await client.get("/v1/jobs/\(job)/tasks?limit=1").json
            let cursor = try #require(first["next_cursor"]?.text)
            let second = try await client.get("/v1/jobs/\(job)/tasks?limit=1&cursor=\(cursor)").json
            #expect(second["tasks"]?.elements?.first?["task"]?.text == "b")
            #expect(try await client.get("/v1/jobs/\(job)/tasks?state=failed").json["tasks"]?.elements?.count == 1)
            for query in ["state=done", "limit=0", "limit=1001", "cursor=x", "cursor=-1", "nonsense=1"] {
                let refused = try await client.get("/v1/jobs/\(job)/tasks?\(query)")
                #expect(refused.status == 422, "\(query)")
                #expect(try refused.pointers == [String(query.prefix { $0 != "=" })])
            }
            let unknown = try await client.get("/v1/jobs/01900000-0000-7000-8000-000000000000/tasks")
            #expect(unknown.status == 404)
        }
    }

    @Test("an explanation shows the counted, superseded and discarded units of an indicator")
    func explains() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            let events = """
                [{"type":"progress","task":"a","execution":"one","label":"x","total":5,"done":3},
                {"type":"progress","task":"a","execution":"two","label":"x","report":1,"total":5,"done":1},
                {"type":"progress","task":"a","execution":"two","label":"x","report":1,"total":5,"done":1}]
                """
            #expect(try await client.post("/v1/jobs/\(job)/events?wait=folded", events).status == 201)
            let found = try await client.get("/v1/jobs/\(job)/explain?label=x").json
            let executions = try #require(found["tasks"]?.elements?.first?["executions"]?.elements)
            #expect(executions.map { $0["counted"]?["done"] } == [.integer(0), .integer(1)])
            #expect(executions.map { $0["superseded"]?["done"] } == [.integer(3), .integer(0)])
            #expect(executions.map { $0["discarded"]?["total"] } == [.integer(0), .integer(5)])
            #expect(executions[0]["superseded_by"]?["execution"]?.text == "two")
            #expect(executions[1]["superseded_by"] == .null)
            let line = try #require(found["conservation"])
            let done = ["received", "counted", "superseded", "discarded", "attempted"].map { line[$0]?["done"] }
            #expect(done == [.integer(5), .integer(1), .integer(3), .integer(1), .integer(4)])
            let first = try await client.get("/v1/jobs/\(job)/explain?label=x&limit=1").json
            let cursor = try #require(first["next_cursor"]?.text)
            let second = try await client.get("/v1/jobs/\(job)/explain?label=x&limit=1&cursor=\(cursor)").json
            let next = second["tasks"]?.elements?.first?["executions"]?.elements?.first
            #expect(next?["execution"]?.text == "two")
            #expect(try await client.get("/v1/jobs/\(job)/explain").status == 404)
            let unknown = try await client.get("/v1/jobs/01900000-0000-7000-8000-000000000000/explain")
            #expect(unknown.status == 404)
            for query in ["limit=0", "cursor=1.2", "at=1", "policy=best", "at_sequence=99", "from=1"] {
                let refused = try await client.get("/v1/jobs/\(job)/explain?\(query)")
                #expect(refused.status == 422)
                #expect(try refused.pointers == [String(query.prefix { $0 != "=" })])
            }
        }
    }

    @Test("a difference and a history show the changes of an indicator with their causes")
    func history() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            let events = """
                [{"type":"progress","task":"a","attempt":1,"label":"x","total":5,"done":3},
                {"type":"execution_finished","task":"a","attempt":1,"outcome":"failed"},
                {"type":"progress","task":"a","attempt":2,"execution":"two","label":"x","total":5,"done":1}]
                """
            #expect(try await client.post("/v1/jobs/\(job)/events?wait=folded", events).status == 201)
            let difference = try await client.get("/v1/jobs/\(job)/diff?from=2").json
            let change = try #require(difference["progress"]?.elements?.first)
            #expect(change["from"]?["done"] == .integer(3) && change["to"]?["done"] == .integer(1))
            #expect(change["change"]?["done"] == .integer(-2))
            let lost = try #require(difference["superseded"]?["first"]?.elements?.first)
            #expect(lost["superseded_by"]?["execution"]?.text == "two")
            #expect(lost["lost"]?.elements?.first?["done"] == .integer(3))
            #expect(difference["finished"]?["first"]?.elements?.first?["outcome"]?.text == "failed")
            #expect(difference["started"]?["count"] == .integer(1))
            #expect(difference["events"]?["counted"] == .integer(2))
            let nothing = try await client.get("/v1/jobs/\(job)/diff?from=2000-01-01T00:00:00Z&to=0").json
            #expect(nothing["progress"]?.elements == [])
            let attempted = try await client.get("/v1/jobs/\(job)/diff?policy=all&limit=0").json
            #expect(attempted["progress"]?.elements?.first?["to"]?["done"] == .integer(4))
            #expect(attempted["started"]?["first"]?.elements == [])
            for query in ["from=5", "to=-1", "from=yesterday", "from=3&to=2", "limit=1001", "policy=none"] {
                let refused = try await client.get("/v1/jobs/\(job)/diff?\(query)")
                #expect(refused.status == 422, "\(query)")
                #expect(try refused.pointers == [String(query.prefix { $0 != "=" })], "\(query)")
            }

            let history = try await client.get("/v1/jobs/\(job)/history?label=x").json
            let points = try #require(history["points"]?.elements)
            #expect(points.map { $0["done"] } == [.integer(3), .integer(1)])
            #expect(points[0]["cause"] == nil)
            #expect(points[1]["cause"]?["task"]?.text == "a")
            #expect(points[1]["cause"]?["lost"]?["total"] == .integer(5))
            #expect(try await client.get("/v1/jobs/\(job)/history").status == 404)
            #expect(try await client.get("/v1/jobs/\(job)/history?label=x&points=1").status == 422)
            let then = try await client.get("/v1/jobs/\(job)/explain?label=x&at_sequence=3").json
            #expect(then["conservation"]?["counted"]?["done"] == .integer(3))
            for route in ["diff", "history", "explain"] {
                let unknown = try await client.get("/v1/jobs/01900000-0000-7000-8000-000000000000/\(route)")
                #expect(unknown.status == 404)
            }
        }
    }

    @Test("progress can be read as of any moment and by other policies")
    func timeTravel() async throws {
        try await withPostgresServer { client, ledger in
            let job = try await client.createJob()
            let events = """
                [{"type":"progress","task":"a","attempt":1,"label":"x","total":5,"done":3},
                {"type":"execution_finished","task":"a","attempt":1,"outcome":"succeeded"},
                {"type":"progress","task":"a","attempt":2,"label":"x","total":5,"done":1}]
                """
            #expect(try await client.post("/v1/jobs/\(job)/events?wait=folded", events).status == 201)
            func done(_ query: String) async throws -> JSONValue? {
                let response = try await client.get("/v1/jobs/\(job)/progress?\(query)")
                #expect(response.status == 200, "\(query)")
                return try response.json["progress"]?.elements?.first?["done"]
            }
            #expect(try await done("") == .integer(1))
            #expect(try await done("policy=last_successful") == .integer(3))
            #expect(try await done("policy=all") == .integer(4))
            #expect(try await done("at_sequence=3") == .integer(3))
            #expect(try await done("at_sequence=1") == nil)
            #expect(try await done("at_sequence=0") == nil)
            #expect(try await done("at=2000-01-01T00:00:00Z") == nil)
            #expect(try await done("at=9999-01-01T00:00:00Z&policy=all") == .integer(4))
            let then = try await client.get("/v1/jobs/\(job)/progress?at_sequence=2").json
            #expect(then["sequence"] == .integer(2) && then["ledger_sequence"] == .integer(4))
            for query in [
                "at_sequence=5", "at_sequence=-1", "at=yesterday", "at=2000-01-01T00:00:00Z&at_sequence=1",
                "min_sequence=1&at_sequence=1", "policy=first",
            ] {
                let refused = try await client.get("/v1/jobs/\(job)/progress?\(query)")
                #expect(refused.status == 422, "\(query)")
                #expect(try refused.pointers == [String(query.prefix { $0 != "=" })], "\(query)")
            }
            // An operator retires a month that has ended in the same way.
            try await detachAllPartitions(ledger)
            for query in ["at_sequence=3", "at=9999-01-01T00:00:00Z", "policy=last_successful"] {
                #expect(try await client.get("/v1/jobs/\(job)/progress?\(query)").status == 410, "\(query)")
            }
            #expect(try await done("") == .integer(1))
            let unknownJob = "/v1/jobs/01900000-0000-7000-8000-000000000000/progress"
            for query in ["at_sequence=0", "at=2000-01-01T00:00:00Z", "policy=last_successful", "policy=all"] {
                #expect(try await client.get("\(unknownJob)?\(query)").status == 404, "\(query)")
            }
        }
    }

    @Test("the description has exactly the routes of the server")
    func description() async throws {
        try await withServer { client, _ in
            let description = try await client.get("/openapi.json").json
            guard case .object(let paths) = description["paths"] else {
                Issue.record("no paths")
                return
            }
            #expect(paths.count == 43)
            #expect(description["info"]?["version"]?.text == ProductVersion.current.number)
            // A stream of events does not end by itself; it has tests of its own.
            for path in paths where path.name != "/v1/watch" {
                guard case .object(let operations) = path.value, !operations.isEmpty else {
                    Issue.record("no operations of \(path.name)")
                    continue
                }
                for operation in operations {
                    let concrete = path.name.split(separator: "{").first.map(String.init) ?? path.name
                    let target = path.name.contains("{") ? path.name.replacing(/{[a-z]+}/, with: "nonsense") : concrete
                    let response = try await client.request(operation.name.uppercased(), target)
                    #expect(response.status != 405, "\(operation.name) \(path.name)")
                    #expect(response.status != 404 || path.name.contains("{"), "\(operation.name) \(path.name)")
                }
            }
        }
    }

    @Test("health, readiness, metrics, limits and HEAD requests get responses")
    func operations() async throws {
        try await withPostgresServer { client, _ in
            #expect(try await client.get("/healthz").status == 200)
            #expect(try await client.get("/readyz").status == 200)
            #expect(try await client.get("/v1/limits").json["events_per_append"] == .integer(10_000))
            let metrics = String(decoding: try await client.get("/metrics").body, as: UTF8.self)
            #expect(metrics.contains("progress_ledger_appended_events_total 0"))
            #expect(metrics.contains("progress_ledger_http_request_seconds_count{route=\"/healthz\""))
            let head = try await client.request("HEAD", "/healthz")
            #expect(head.status == 200)
            #expect(head.body.isEmpty)
        }
    }
}
