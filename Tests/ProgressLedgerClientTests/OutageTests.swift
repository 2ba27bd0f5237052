import Ledger
import LedgerTestSupport
import Testing

@testable import ProgressLedgerClient

private let job = JobID("0190b5a1-7c1e-7a3b-9d2f-4c5e6f708192")!

@Suite("Outages and invalid reports", .timeLimit(.minutes(10)))
struct OutageTests {
    @Test("all waits of an outage end at the same moment, and the next one starts a minute later")
    func waitsAreShared() {
        let start = ContinuousClock.now
        var outage = Outage()
        let moments = [0, 3, 64, 65].map { start + .seconds($0) }
        let limits = moments.map { start.duration(to: outage.waitLimit(now: $0)) }
        #expect(limits == [.seconds(5), .seconds(5), .seconds(5), .seconds(70)])
        outage.recordResponse()
        let limit = outage.waitLimit(now: start + .seconds(66))
        #expect(limit == start + .seconds(71))
    }

    @Test("a failure is logged once in each outage")
    func failuresAreLoggedOnce() {
        var outage = Outage()
        let first = [outage.isFirstFailure(), outage.isFirstFailure()]
        outage.recordResponse()
        let second = outage.isFirstFailure()
        #expect(first == [true, false] && second)
    }

    @Test("a client keeps the last sequence of a bounded number of jobs")
    func memoryIsBounded() {
        var written = WrittenSequences()
        written.record(7, to: job)
        written.record(5, to: job)
        #expect(written[job] == 7)
        for number in 0...UInt64(WrittenSequences.jobsMax) { written.record(1, to: JobID(high: 0, low: number)) }
        #expect(
            Mirror(reflecting: written).children.first.map { ($0.value as? [JobID: EventSequence])?.count }
                == WrittenSequences.jobsMax)
    }

    @Test("all ends together wait five seconds for a hanging ledger, and log one line")
    func waitsOnceForHangingLedgers() async throws {
        let silence = [ScriptedServer.Reaction](repeating: .silence, count: 100)
        try await ScriptedServer.run(silence) { server in
            let recorder = LogRecorder()
            let job = try LedgerClient(url: server.url).job(reporting: job, logger: recorder.logger)
            let took = await ContinuousClock().measure {
                for task in 0..<20 {
                    await job.execution(Name("task \(task)")) { context in context.progress().done() }
                }
                await #expect(throws: LedgerClientError.self) { try await job.finish(.completed) }
            }
            // Separate waits would take 100 s and more.
            #expect(took < .seconds(60))
            #expect(took > .seconds(4))
            #expect(recorder.logged.count == 1, "\(recorder.logged)")
        }
    }

    @Test("an unreachable ledger is logged once, however many executions end")
    func logsOnceForAbsentLedgers() async throws {
        let recorder = LogRecorder()
        // No program listens on port 9 (discard).
        let job = try LedgerClient(url: "http://127.0.0.1:9").job(reporting: job, logger: recorder.logger)
        let took = await ContinuousClock().measure {
            for task in 0..<20 {
                await job.execution(Name("task \(task)")) { context in context.progress().done() }
            }
            await #expect(throws: LedgerClientError.self) { try await job.finish(.completed) }
        }
        #expect(took < .seconds(60))
        #expect(recorder.logged.count == 1, "\(recorder.logged)")
    }

    @Test("invalid reports fail no task: they are refused, counted, and logged once per kind")
    func invalidReports() async throws {
        let recorder = LogRecorder()
        let job = try LedgerClient(url: "http://127.0.0.1:9").job(reporting: job, logger: recorder.logger)
        let context = job.startExecution("t")
        for _ in 0..<50 {
            for units in [-1, .min, .max, 9_007_199_254_740_992] {
                #expect(!context.progress("l").add(units) && !context.progress("l").done(units))
            }
            #expect(!context.progress("a\0b").done())
            #expect(!context.progress(Name(String(repeating: "x", count: 101))).done())
        }
        for number in 0..<1_100 { context.progress(Name("\(number)")).done(9_007_199_254_740_991) }
        #expect(context.statistics.refused == 50 * 10 + 101)
        await context.finish(.succeeded, atMost: .zero)
        #expect(!context.progress("l").done())
        let refusals = recorder.logged.filter { $0.message.hasPrefix("a report was refused") }
        #expect(refusals.count == 4, "\(refusals)")
    }

    @Test(
        "an invalid task name or attempt does not fail the task and is logged once",
        arguments: [("", nil), ("a\0b", nil), (String(repeating: "x", count: 201), nil), ("t", 0), ("t", .min)]
            as [(String, Int32?)])
    func invalidExecutions(task: String, attempt: Int32?) async throws {
        try await ScriptedServer.with { server in
            let recorder = LogRecorder()
            let job = try LedgerClient(url: server.url).job(reporting: job, logger: recorder.logger)
            let refused = await job.execution(Name(task), attempt: attempt) { context in
                for _ in 0..<10 { #expect(!context.progress("l").done()) }
                return context.statistics.refused
            }
            #expect(refused == 10)
            #expect(recorder.logged.count == 1, "\(recorder.logged)")
            #expect(server.requests.isEmpty)
        }
    }

    @Test("settings and limits of any size neither trap nor wait")
    func extremeSettings() async throws {
        var settings = LedgerClient.Settings()
        settings.connectionsMax = -1
        settings.waitersMax = .min
        settings.responseBytesMax = -1
        settings.deadline = .seconds(Int64.max)
        settings.connectionIdleMax = .seconds(Int64.min)
        settings.patience = .seconds(-1)
        let client = try LedgerClient(url: "http://127.0.0.1:9", settings: settings)
        await #expect(throws: LedgerClientError.self) { try await client.checkHealth() }
        let context = client.job(reporting: job, logger: LogRecorder().logger).startExecution("t")
        #expect(await !context.flush(atMost: .seconds(Int64.min)))
        let flushing = Task { await context.flush(atMost: .seconds(Int64.max)) }
        flushing.cancel()
        #expect(await !context.finish(.failed, atMost: .zero))
    }
}

@Suite("Reading own writes", .timeLimit(.minutes(10)))
struct OwnWritesTests {
    private static let appended = #"{"first_sequence":2,"last_sequence":7}"#

    /// Returns the JSON of a job with a snapshot at a sequence.
    private static func jobText(_ sequence: Int) -> String {
        """
        {"job":"\(job)","key":"k","name":"n","tags":{},"state":"running","percent":null,"sequence":\(sequence),\
        "ledger_sequence":\(sequence),"created_at":"2026-01-31T00:00:00.000000Z","started_at":null,"updated_at":null,\
        "finished_at":null,"tasks":{"total":0,"running":0,"succeeded":0,"failed":0,"canceled":0,"executions":0,\
        "superseded_executions":0},"progress":[]}
        """
    }

    private static let draft = EventDraft(
        .progress(ProgressReport(reference: ExecutionReference(task: "t", attempt: 1), report: 1, done: 1)))

    @Test("a job is read again if its snapshot lacks the client's own reports")
    func staleJobsAreReadAgain() async throws {
        let stale = Self.jobText(1)
        let fresh = Self.jobText(7)
        try await ScriptedServer.with(
            .respond(201, Self.appended), .respond(200, stale), .respond(200, fresh), .respond(200, stale),
            .respond(200, fresh), .respond(200, #"{"jobs":[\#(stale)],"next_cursor":null}"#), .respond(200, fresh),
            .respond(200, stale), .respond(200, fresh), .respond(200, fresh)
        ) { server in
            let client = try LedgerClient(url: server.url)
            _ = try await client.append([Self.draft], to: job)
            #expect(try await client.job(job).snapshot.sequence == 7)
            #expect(try await client.progress(of: job).job.snapshot.sequence == 7)
            #expect(try await client.jobs().jobs.map(\.snapshot.sequence) == [7])
            #expect(try await client.createJob(JobDescription(name: "n", key: "k")).snapshot.sequence == 7)
            #expect(try await client.job(job).snapshot.sequence == 7)
            let reread = "GET /v1/jobs/\(job)/progress?min_sequence=7"
            #expect(server.requests.count == 10)
            #expect([2, 4, 6, 8].allSatisfy { server.requests[$0].line == reread }, "\(server.requests.map(\.line))")
        }
    }

    @Test(
        "a projection that lags is not a failure: the snapshot is returned as it is",
        arguments: [504, 422])
    func laggingProjections(status: Int) async throws {
        try await ScriptedServer.with(
            .respond(201, Self.appended), .respond(200, Self.jobText(1)),
            .respond(status, #"{"title":"no","status":\#(status),"detail":""}"#)
        ) { server in
            let client = try LedgerClient(url: server.url)
            _ = try await client.append([Self.draft], to: job)
            #expect(try await client.job(job).snapshot.sequence == 1)
        }
    }

    @Test("the client that opened a job reads the reports of the job's executions")
    func reportsAreRead() async throws {
        try await ScriptedServer.with(
            .respond(201, #"{"first_sequence":2,"last_sequence":7,"verdicts":["counted","counted","counted"]}"#),
            .respond(200, Self.jobText(1)), .respond(200, Self.jobText(7))
        ) { server in
            let client = try LedgerClient(url: server.url)
            let context = client.job(reporting: job).startExecution("t", attempt: 1)
            context.progress().done()
            #expect(await context.finish(.succeeded, atMost: .seconds(60)))
            #expect(try await client.job(job).snapshot.sequence == 7)
        }
    }

    @Test("the server's clock comes from the job, or else from the Date header")
    func clocks() async throws {
        let jobWithClock = #"{"now":"2026-01-31T00:00:01.500000Z","# + Self.jobText(1).dropFirst()
        let date = [("date", "Sat, 31 Jan 2026 01:00:00 GMT")]
        try await ScriptedServer.with(
            .respond(200, jobWithClock, headers: date), .respond(200, Self.jobText(1), headers: date),
            .respond(200, Self.jobText(1))
        ) { server in
            let client = try LedgerClient(url: server.url)
            var clocks: [ServerClock?] = []
            for _ in 1...3 { clocks.append(try await client.sendWithClock(.job(job), as: JobView.self).clock) }
            let midnight: Int64 = 1_769_817_600_000_000
            let times = clocks.map { $0.map { $0.now().microseconds - midnight } }
            #expect(try (1_500_000..<3_600_000_000).contains(#require(times[0])), "\(times)")
            #expect(try #require(times[1]) >= 3_600_000_000, "\(times)")
            #expect(times[2] == nil)
        }
    }
}
