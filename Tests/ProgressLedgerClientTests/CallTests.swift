import Ledger
import LedgerWire
import NIOHTTP1
import Testing

@testable import ProgressLedgerClient

private let job = JobID("0190b5a1-7c1e-7a3b-9d2f-4c5e6f708192")!
private let jobText = """
    {"job":"0190b5a1-7c1e-7a3b-9d2f-4c5e6f708192","key":null,"name":"n","tags":{"e\u{301}":"1","\u{e9}":"2"},\
    "state":"running","sequence":3,"ledger_sequence":4,"created_at":"2026-01-01T00:00:00.000001Z","started_at":null,\
    "updated_at":null,"finished_at":null,"tasks":{"total":1,"running":1,"succeeded":0,"failed":0,"canceled":0,\
    "executions":1,"superseded_executions":0},"progress":[{"label":null,"done":83076749736557242056487941267521536,\
    "total":0,"percent":null,"attempted_done":1,"attempted_total":2,"updated_at":"2026-01-01T00:00:00.000002Z",\
    "rate":1.5}],"something_new":{"a":[1]}}
    """
private let eventText = """
    {"sequence":1,"type":"job_created","name":"n","recorded_at":"2026-01-01T00:00:00.000001Z","verdict":"counted",\
    "hash":"\(String(repeating: "0f", count: 32))"}
    """

@Suite("Calls", .timeLimit(.minutes(10)))
struct CallTests {
    private func exchange<Value>(
        _ reaction: ScriptedServer.Reaction, _ call: (LedgerClient) async throws -> Value
    ) async throws -> (request: ScriptedServer.Request, value: Value) {
        var result: (ScriptedServer.Request, Value)?
        try await ScriptedServer.with(reaction) { server in
            let value = try await call(LedgerClient(url: server.url, settings: .once))
            result = (server.requests[0], value)
        }
        return try #require(result)
    }

    private func failure(_ reaction: ScriptedServer.Reaction, _ call: (LedgerClient) async throws -> Void) async throws
        -> LedgerClientError
    {
        var failure: LedgerClientError?
        try await ScriptedServer.with(reaction) { server in
            failure = await #expect(throws: LedgerClientError.self) {
                try await call(LedgerClient(url: server.url, settings: .once))
            }
        }
        return try #require(failure)
    }

    @Test("a job is created with the given values, and names arrive exactly")
    func jobsAreCreated() async throws {
        let (request, created) = try await exchange(.respond(201, jobText)) {
            try await $0.createJob(
                JobDescription(name: "a\"b\\c\u{1}\u{202e}👩‍👧", key: "k", tags: ["e\u{301}": "x", "\u{e9}": ""]))
        }
        #expect(request.line == "POST /v1/jobs")
        #expect(
            request.body.unicodeScalars.elementsEqual(
                "{\"name\":\"a\\\"b\\\\c\\u0001\u{202e}👩‍👧\",\"key\":\"k\",\"tags\":{\"e\u{301}\":\"x\",\"\u{e9}\":\"\"}}"
                    .unicodeScalars))
        #expect(created.id == job)
        #expect(created.description.tags.count == 2)
        #expect(created.snapshot.indicators[0].counted.done == Int128(1) << 116)
        #expect(created.snapshot.indicators[0].label == nil)
    }

    @Test("a creation without a key is repeated with its own Idempotency-Key")
    func creationsAreRepeated() async throws {
        try await ScriptedServer.with(.drop, .respond(502), .respond(201, jobText), .respond(201, jobText)) { server in
            let client = try LedgerClient(url: server.url)
            #expect(try await client.createJob(JobDescription(name: "n")).id == job)
            _ = try await client.createJob(JobDescription(name: "n"))
            let keys = server.requests.map { $0.headers["idempotency-key"] }
            #expect(keys[0].count == 1 && keys[0][0].utf8.count == 32)
            #expect(keys[0] == keys[1] && keys[1] == keys[2] && keys[2] != keys[3])
        }
        let (keyed, _) = try await exchange(.respond(201, jobText)) {
            try await $0.createJob(JobDescription(name: "n", key: "k"))
        }
        #expect(keyed.headers["idempotency-key"].isEmpty)
    }

    @Test("the outcome of a creation stays unknown if only its repetition was refused")
    func creationsStayUnknown() async throws {
        let busy = ScriptedServer.Reaction.respond(
            503, #"{"title":"Overloaded","status":503,"detail":""}"#,
            headers: [("content-type", "application/problem+json")])
        var settings = LedgerClient.Settings()
        settings.patience = .seconds(4)
        for (first, code) in [
            (ScriptedServer.Reaction.drop, LedgerClientError.Code.outcomeUnknown), (busy, .unavailable),
        ] {
            try await ScriptedServer.run([first] + Array(repeating: busy, count: 100)) { server in
                let client = try LedgerClient(url: server.url, settings: settings)
                let error = await #expect(throws: LedgerClientError.self) {
                    try await client.createJob(JobDescription(name: "n"))
                }
                #expect(error?.code == code && server.requests.count > 1)
            }
        }
    }

    @Test("one event is written as an object, several events as an array")
    func eventsAreWritten() async throws {
        let reference = ExecutionReference(task: "t", execution: "e", attempt: 2)
        let drafts = [
            EventDraft(.executionStarted(reference), at: Timestamp(microseconds: -1)),
            EventDraft(.progress(ProgressReport(reference: ExecutionReference(task: "t"), label: "", done: 0))),
            EventDraft(.executionFinished(reference, .canceled)), EventDraft(.jobFinished(.failed)),
        ]
        let reaction = ScriptedServer.Reaction.respond(
            201, #"{"first_sequence":2,"last_sequence":5,"verdicts":["counted","over_limit","superseded","counted"]}"#)
        let (request, appended) = try await exchange(reaction) {
            try await $0.append(drafts, to: job, awaitsVerdicts: true)
        }
        #expect(request.line == "POST /v1/jobs/\(job)/events?wait=folded")
        #expect(request.headers["content-type"] == ["application/json"])
        #expect(
            request.body == """
                [{"type":"execution_started","task":"t","execution":"e","attempt":2,"at":"1969-12-31T23:59:59.999999Z"},\
                {"type":"progress","task":"t","done":0},\
                {"type":"execution_finished","task":"t","execution":"e","attempt":2,"outcome":"canceled"},\
                {"type":"job_finished","outcome":"failed"}]
                """)
        #expect(appended.sequences == 2...5)
        #expect(appended.verdicts == [.counted, .overLimit, .superseded, .counted])
        let (single, _) = try await exchange(.respond(201, #"{"first_sequence":2,"last_sequence":2,"verdicts":null}"#))
        {
            try await $0.append([drafts[3]], to: job)
        }
        #expect(single.body == #"{"type":"job_finished","outcome":"failed"}"#)
        // The ledger's own reader accepts the body that this client writes.
        #expect(try EventRequest.drafts(Array(request.body.utf8), .json).count == 4)
    }

    @Test("events of many jobs contain the ids of their jobs")
    func manyJobsAppend() async throws {
        let (request, appended) = try await exchange(
            .respond(201, #"{"appended":1,"jobs":{"\#(job)":{"first_sequence":7,"last_sequence":7}}}"#)
        ) {
            try await $0.append([(job: job, draft: EventDraft(.jobFinished(.completed)))])
        }
        #expect(request.body == #"[{"job":"\#(job)","type":"job_finished","outcome":"completed"}]"#)
        #expect(appended.count == 1)
        #expect(appended.sequences == [job: 7...7])
    }

    @Test("the error of a superseded start identifies the execution that counts")
    func supersededStartsAreReported() async throws {
        let reaction = ScriptedServer.Reaction.respond(
            409,
            """
            {"title":"Superseded","status":409,"detail":"late","execution":"a","attempt":1,"sequence":5,\
            "last":{"execution":null,"attempt":2}}
            """)
        let error = try await failure(reaction) {
            _ = try await $0.startExecution(ExecutionReference(task: "t", execution: "a"), in: job)
        }
        #expect(error.code == .superseded)
        #expect(
            error.superseded
                == SupersededExecution(execution: "a", attempt: 1, sequence: 5, lastExecution: nil, lastAttempt: 2))
    }

    @Test(
        "each refusal has its code",
        arguments: [
            (400, LedgerClientError.Code.invalid), (401, .unauthorized), (403, .unauthorized), (404, .notFound),
            (409, .conflict), (413, .tooLarge), (422, .invalid), (429, .unavailable), (503, .unavailable),
            (500, .outcomeUnknown), (502, .outcomeUnknown), (415, .unexpectedResponse),
        ])
    func refusalsHaveCodes(status: Int, code: LedgerClientError.Code) async throws {
        let problem = """
            {"title":"T","status":\(status),"detail":"D","errors":[{"pointer":"/2/done","detail":"must be an integer"}]}
            """
        let error = try await failure(.respond(status, problem)) {
            _ = try await $0.append([EventDraft(.jobFinished(.completed))], to: job)
        }
        #expect(error.code == code)
        #expect(error.status == status)
        #expect(error.fieldErrors == [FieldError(pointer: "/2/done", detail: "must be an integer")])
        #expect(error.description.contains("/2/done: must be an integer"))
    }

    @Test(
        "an unavailable ledger says once that nothing was recorded",
        arguments: [
            "The ledger's database is not available; nothing was recorded. Try again later.", "The server stops.",
        ])
    func unavailable(detail: String) async throws {
        let problem = #"{"title":"Unavailable","status":503,"detail":"\#(detail)"}"#
        let error = try await failure(.respond(503, problem)) {
            _ = try await $0.append([EventDraft(.jobFinished(.completed))], to: job)
        }
        #expect(error.code == .unavailable)
        #expect(error.description.lowercased().ranges(of: "nothing was recorded").count == 1, "\(error.description)")
        #expect(error.description.hasSuffix("Try again later."), "\(error.description)")
    }

    @Test("a failed read is a server failure, and a snapshot that lags has its own code")
    func readsFail() async throws {
        let problem = #"{"title":"T","status":500,"detail":"D"}"#
        #expect(try await failure(.respond(500, problem)) { _ = try await $0.job(job) }.code == .serverFailed)
        #expect(
            try await failure(.respond(504, problem)) { _ = try await $0.progress(of: job, minSequence: 9) }.code
                == .notFolded)
    }

    @Test("a progress request contains its conditions, and 304 means no change")
    func progressIsConditional() async throws {
        let (request, read) = try await exchange(.respond(200, jobText, headers: [("etag", "W/\"3\"")])) {
            try await $0.progress(of: job, minSequence: 3, policy: .all)
        }
        #expect(request.line == "GET /v1/jobs/\(job)/progress?min_sequence=3&policy=all")
        #expect(read.entityTag == "W/\"3\"")
        let (waiting, unchanged) = try await exchange(.respond(304)) {
            try await $0.progress(of: job, unchangedSince: "W/\"3\"", wait: .seconds(20))
        }
        #expect(unchanged == nil)
        #expect(waiting.headers["if-none-match"] == ["W/\"3\""])
        #expect(waiting.headers["prefer"] == ["wait=20"])
    }

    @Test("searches become percent-encoded queries, and an empty label is the default indicator")
    func searchesAreEncoded() async throws {
        var jobs = JobSearch()
        jobs.state = .failed
        jobs.name = "a b&c=d/é"
        jobs.tags = ["zone": "1", "a+b": "%"]
        jobs.limit = 5
        let (list, page) = try await exchange(.respond(200, #"{"jobs":[\#(jobText)],"next_cursor":"c"}"#)) {
            try await $0.jobs(jobs)
        }
        #expect(
            list.line == "GET /v1/jobs?state=failed&name=a%20b%26c%3Dd%2F%C3%A9&tag.a%2Bb=%25&tag.zone=1&limit=5")
        #expect(page.nextCursor == "c")
        var events = EventSearch()
        events.after = 9
        events.isDescending = true
        events.indicator = EventSearch.Indicator(label: nil)
        events.type = .progress
        events.verdict = .overLimit
        let (history, eventPage) = try await exchange(.respond(200, #"{"events":[\#(eventText)],"next_after":null}"#)) {
            try await $0.events(of: job, events)
        }
        #expect(
            history.line
                == "GET /v1/jobs/\(job)/events?after=9&order=desc&label=&type=progress&verdict=over_limit")
        #expect(eventPage.events.map(\.event.sequence) == [1])
        #expect(eventPage.nextAfter == nil)
    }
}

@Suite("The event stream", .timeLimit(.minutes(10)))
struct EventStreamTests {
    @Test("lines are joined from any pieces, without empty ones, and the last needs no line feed")
    func linesAreJoined() async throws {
        let text = "\n\(eventText)\n\n\(eventText)"
        let pieces = text.unicodeScalars.map { String($0) }
        try await ScriptedServer.with(.stream(pieces), .respond(200)) { server in
            let client = try LedgerClient(url: server.url)
            var count = 0
            for try await event in client.eventStream(of: job) { count += Int(event.event.sequence.number) }
            #expect(count == 2)
            #expect(server.requests[0].headers["accept"] == ["application/x-ndjson"])
            try await client.checkHealth()
            #expect(server.connectionCount == 1)
        }
    }

    @Test("a stream whose connection breaks ends with an error")
    func cutsAreErrors() async throws {
        try await ScriptedServer.with(.stream([eventText + "\n"], isCut: true)) { server in
            var events = try LedgerClient(url: server.url, settings: .once).eventStream(of: job).makeAsyncIterator()
            #expect(try await events.next() != nil)
            let error = await #expect(throws: LedgerClientError.self) { try await events.next() }
            #expect(error?.code == .unavailable)
            #expect(try await events.next() == nil)
        }
    }

    @Test("the refusal of a stream is an error")
    func refusalsAreErrors() async throws {
        try await ScriptedServer.with(.respond(404, #"{"title":"No such job","status":404,"detail":""}"#)) { server in
            let error = await #expect(throws: LedgerClientError.self) {
                for try await _ in try LedgerClient(url: server.url).eventStream(of: job) {}
            }
            #expect(error?.code == .notFound)
        }
    }

    @Test("a stream flows no faster than it is read, and ends with its reader")
    func streamsHaveBackpressure() async throws {
        let piece = String(repeating: eventText + "\n", count: 40)
        try await ScriptedServer.with(.endless(piece)) { server in
            let client = try LedgerClient(url: server.url)
            do {
                var events = client.eventStream(of: job).makeAsyncIterator()
                // The server writes as fast as it can; the data ahead of the reader fits into the kernel's buffers.
                for count in 1...20_000 {
                    #expect(try await events.next() != nil)
                    #expect(server.bytesWritten - count * eventText.utf8.count < 16 * 1_048_576)
                }
                #expect(client.pool.connectionCount == 1)
            }
            #expect(client.pool.connectionCount == 0)
        }
    }
}

@Suite("Safe repetition")
struct RepeatingTests {
    private let named = ExecutionReference(task: "t", execution: "e")
    private let numbered = ExecutionReference(task: "t", attempt: 1)
    private let neither = ExecutionReference(task: "t")

    private func isSafe(_ bodies: EventBody...) -> Bool {
        bodies.map { EventDraft($0) }.areSafeToRepeat
    }

    @Test("progress is safe with a report number and an execution with a name or an attempt")
    func progress() {
        #expect(isSafe(.progress(ProgressReport(reference: named, report: 1))))
        #expect(isSafe(.progress(ProgressReport(reference: numbered, report: 1))))
        #expect(!isSafe(.progress(ProgressReport(reference: named))))
        #expect(!isSafe(.progress(ProgressReport(reference: neither, report: 1))))
    }

    @Test("starts and ends are safe with a name or an attempt")
    func startsAndEnds() {
        #expect(isSafe(.executionStarted(named), .executionFinished(numbered, .failed)))
        #expect(!isSafe(.executionFinished(neither, .failed)))
    }

    @Test("the end of a job is safe only as the last event")
    func jobEnds() {
        // A start after the end reopens the job the first time, but not in a repetition.
        #expect(isSafe(.executionStarted(named), .jobFinished(.completed)))
        #expect(!isSafe(.jobFinished(.completed), .executionStarted(named)))
    }
}
