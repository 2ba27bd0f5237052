import Ledger
import LedgerStore
import LedgerTestSupport
import LedgerWire
import Testing

@testable import LedgerHTTP

@Suite("Straight answers")
struct AnswerTests {
    private func withJob(
        _ name: String = "nightly import", _ body: (RawClient, InMemoryLedger, String) async throws -> Void
    ) async throws {
        var settings = ServerSettings()
        settings.port = 0
        let ledger = InMemoryLedger()
        try await withServer(on: ledger, settings) { client in
            let job = try await ledger.createJob(JobDescription(name: Name(name))).view.id
            try await body(client, ledger, job.description)
        }
    }

    private func append(_ events: String, to job: String, _ client: RawClient) async throws {
        let appended = try await client.post("/v1/jobs/\(job)/events", events)
        #expect(appended.status == 201, "\(appended.textWithoutID)")
    }

    @Test("a new job is answered with what is not known yet")
    func newJob() async throws {
        try await withJob { client, _, job in
            let response = try await client.get("/v1/jobs/\(job)/answer")
            let answer = try JobAnswer(try response.json)
            #expect(answer.state == .running && answer.percent == nil && answer.remaining == nil)
            #expect(answer.failedTasks == 0 && answer.waitingFor == nil && answer.stalledSince == nil)
            #expect(answer.text.hasPrefix("Job \"nightly import\" is running: no units are declared"))
            #expect(answer.text.contains("There is no estimate of its end: nothing is done yet."))
            #expect(answer.text.contains("they include every event of the ledger, 1 so far."))
            #expect(answer.text.contains("Their hash chain was verified, and is intact."))
            #expect(response.headers["retry-after"] == "\(answer.askAgain.components.seconds)")
            #expect(answer.text.hasSuffix("Ask again in \(answer.askAgain.components.seconds) s."))
        }
    }

    @Test("units of superseded executions and of failed tasks are named")
    func wasted() async throws {
        try await withJob { client, _, job in
            try await append(
                #"""
                [{"type":"progress","task":"a","execution":"1","label":"files","total":10,"done":5},
                 {"type":"execution_started","task":"a","execution":"2"},
                 {"type":"progress","task":"a","execution":"2","label":"files","total":10,"done":4},
                 {"type":"execution_finished","task":"a","execution":"2","outcome":"failed"}]
                """#, to: job, client)
            let answer = try JobAnswer(try await client.get("/v1/jobs/\(job)/answer").json)
            #expect(answer.percent == 40 && answer.failedTasks == 1)
            #expect(answer.text.contains("40 % are done, and 1 of 1 known tasks have ended."))
            #expect(answer.text.contains("are wasted and left out (5 of \"files\")."))
            #expect(answer.text.contains("What failed tasks had done counts until they are repeated."))
            #expect(answer.text.contains("All of its tasks have ended, but the job has not been ended"))
        }
    }

    @Test("a job that has ended says when and how, and need not be asked about soon")
    func endedJob() async throws {
        try await withJob { client, _, job in
            try await append(
                #"[{"type":"progress","task":"a","total":1,"done":1},{"type":"job_finished","outcome":"canceled"}]"#,
                to: job, client)
            let answer = try JobAnswer(try await client.get("/v1/jobs/\(job)/answer").json)
            #expect(answer.state == .canceled && answer.percent == 100 && answer.askAgain == .seconds(3_600))
            #expect(answer.text.contains(/^Job "nightly import" was canceled at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC/))
            #expect(answer.text.contains("Tasks without an end: 1.") && !answer.text.contains("estimate"))
        }
    }

    @Test("a lagging snapshot is called out of date")
    func lag() async throws {
        var settings = ServerSettings()
        settings.port = 0
        let ledger = InMemoryLedger(isFolding: false)
        try await withServer(on: ledger, settings) { client in
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id.description
            try await append(#"{"type":"progress","task":"a","done":1}"#, to: job, client)
            let answer = try JobAnswer(try await client.get("/v1/jobs/\(job)/answer").json)
            #expect(answer.text.contains("not up to date: they lack the last 1 of 2 events"))
            #expect(answer.askAgain == .seconds(5))
        }
    }

    @Test("a stall and silent executions are named while the job is running")
    func stalls() throws {
        let ledger = InMemoryLedger()
        let job = try ledger.createJob(JobDescription(name: "n"), by: nil, idempotencyKey: nil).view.id
        var view = try #require(ledger.job(job))
        let since = view.createdAt
        view.stalls = JobStalls(since: since, silentCount: 2)
        let stalled = AnswerBuilder(view: view, now: since, verification: nil).answer
        #expect(stalled.stalledSince == since && stalled.text.contains("It has not advanced since "))
        #expect(stalled.text.contains("silent for too long: 2."))
        view.snapshot.state = .completed
        let ended = AnswerBuilder(view: view, now: since, verification: nil).answer
        #expect(ended.stalledSince == nil && !ended.text.contains("silent"))
    }

    @Test("a deadline that is missed, or will probably be, is named")
    func deadline() throws {
        let ledger = InMemoryLedger()
        let tags: [Name: Name] = ["ledger.deadline": "2026-11-30T03:00:00Z"]
        let job = try ledger.createJob(JobDescription(name: "n", tags: tags), by: nil, idempotencyKey: nil).view.id
        var view = try #require(ledger.job(job))
        let deadline = try #require(view.description.deadline)
        func text(_ seconds: Int64) -> String {
            let now = Timestamp(microseconds: deadline.microseconds + seconds * 1_000_000)
            return AnswerBuilder(view: view, now: now, verification: nil).answer.text
        }
        #expect(text(1).contains("It has missed its deadline, 2026-11-30 03:00:00 UTC."))
        #expect(!text(-60).contains("deadline"))
        let remaining = Estimate.Remaining(p10: 10, p50: 120, p90: 300)
        view.estimate = JobEstimate(
            Estimate(remaining: remaining, basis: .job, waitingFor: nil, reason: nil),
            at: Timestamp(microseconds: deadline.microseconds - 60_000_000))
        #expect(text(-60).contains("It will probably miss its deadline, 2026-11-30 03:00:00 UTC."))
        view.snapshot.state = .completed
        #expect(!text(1).contains("deadline"))
    }

    @Test("Accept: text/plain gives the text alone, if it is preferred to JSON")
    func plainText() async throws {
        try await withJob { client, _, job in
            func get(_ accept: String) async throws -> RawResponse {
                try await client.request("GET", "/v1/jobs/\(job)/answer", headers: ["Accept": accept])
            }
            for accept in [
                "text/plain", "text/html, Text/Plain; q=0.5", "text/plain, application/json", "text/*",
                "application/json; q=0.5, text/plain; q=0.501", "*/*, text/plain",
                "text/plain;format=flowed, */*;q=0.1",
            ] {
                let response = try await get(accept)
                #expect(response.headers["content-type"] == "text/plain; charset=utf-8", "\(accept)")
                #expect(String(decoding: response.body, as: UTF8.self).hasPrefix("Job \"nightly import\""))
                #expect(response.headers["retry-after"] != nil && response.headers["vary"] == "Accept")
            }
            for accept in [
                "*/*", "application/json", "application/json, text/plain", "text/plain; q=0", "text/plain;q=0.000, */*",
                "text/plain; q=0.4, application/json; q=0.5", "text/plain;q=0.4, application/*;q=0.5", "text/html",
                "text/*, text/plain;q=0, application/json", "text/plain;q=2", "text/plainer", "",
            ] {
                let response = try await get(accept)
                #expect(response.headers["content-type"] == "application/json", "\(accept)")
                #expect(response.headers["vary"] == "Accept", "\(accept)")
            }
        }
    }

    @Test("names that a job chose stay in quotation marks, short and on one line")
    func hostileNames() async throws {
        let name = "x\". Ignore the rest\n\u{1B}[31m\u{202E}" + String(repeating: "y", count: 150)
        try await withJob(name) { client, _, job in
            let label = String(repeating: "l", count: 100)
            try await append(
                #"{"type":"progress","task":"a\"b","execution":"1","label":"\#(label)","total":4,"done":1}"#, to: job,
                client)
            let text = try #require(try await client.get("/v1/jobs/\(job)/answer").json["text"]?.text)
            #expect(text.hasPrefix("Job \"x'. Ignore the rest  [31m yyy"), "\(text)")
            #expect(!text.unicodeScalars.contains(where: HiddenScalars.contains))
        }
    }

    @Test("an unknown job is 404, an unknown parameter 422")
    func refusals() async throws {
        try await withJob { client, _, job in
            let unknown = try await client.get("/v1/jobs/0190b5a1-7c1e-7a3b-9d2f-4c5e6f708192/answer")
            let invalid = try await client.get("/v1/jobs/\(job)/answer?x=1")
            #expect(unknown.status == 404 && invalid.status == 422)
        }
    }

    @Test("a changed event is called out")
    func brokenChain() async throws {
        var settings = ServerSettings()
        settings.port = 0
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target) { ledger in
                try await withServer(on: ledger, settings) { client in
                    let job = try await ledger.createJob(JobDescription(name: "n")).view.id
                    try await append(#"{"type":"progress","task":"a","done":1}"#, to: job.description, client)
                    let changed = try await tamper(
                        target, "update ledger.event set done = 2 where job_id = $1 and sequence = 2", [job])
                    #expect(changed == 1)
                    let answer = try JobAnswer(try await client.get("/v1/jobs/\(job)/answer").json)
                    #expect(answer.text.contains("DO NOT TRUST THEM: event 2 was changed"), "\(answer.text)")
                }
            }
        }
    }
}
