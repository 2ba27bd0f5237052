import Foundation
import Ledger
import LedgerTestSupport
import LedgerWire
import Logging
import PQ
import ProgressLedgerClient
import Synchronization
import Testing

/// Tests of tasks that report through the library to a real server during faults.
@Suite("Reporting from Swift", .timeLimit(.minutes(10)))
struct ReporterTests {
    private static let logger: Logger = {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        return logger
    }()

    /// A server with a database of its own, behind a proxy.
    private final class ProxiedServer {
        var server: ServerProcess
        let proxy: FaultProxy
        let database: [String]
        let client: LedgerClient

        init(_ target: String) async throws {
            database = ["--database", target]
            server = try ServerProcess(["serve", "--port", "0"] + database)
            proxy = try FaultProxy(beforePort: try Self.port(try await server.url()))
            client = try LedgerClient(url: "http://127.0.0.1:\(proxy.target["port"] ?? "")")
        }

        private static func port(_ url: String) throws -> Int { try #require(URL(string: url)?.port) }

        func killAndRestart() async throws {
            server.send(SIGKILL)
            try await server.wait()
            server = try ServerProcess(["serve", "--port", "0"] + database)
            proxy.lead(toPort: try Self.port(try await server.url()))
        }

        func openJob() async throws -> LedgerJob {
            try await client.openJob(JobDescription(name: "reported"), logger: ReporterTests.logger)
        }
    }

    private func withServer(_ body: (ProxiedServer) async throws -> Void) async throws {
        try await withLedgerDatabase { target in
            let host = try await ProxiedServer(target.description)
            try await body(host)
            host.proxy.close()
            host.server.send(SIGTERM)
            try await host.server.wait()
        }
    }

    /// Finishes the job, and returns the done and total units of its indicators.
    private func finalUnits(_ job: LedgerJob) async throws -> [String: [Int128]] {
        try await job.finish(.completed, atMost: .testTimeout)
        let last = try #require(try await job.waitUntilFinished())
        return Dictionary(
            uniqueKeysWithValues: last.snapshot.indicators.map {
                ($0.label?.text ?? "", [$0.counted.done, $0.counted.total])
            })
    }

    /// Runs eight tasks that report on two indicators from many child tasks each.
    private func work(_ job: LedgerJob) async {
        await withTaskGroup(of: Void.self) { group in
            for task in 0..<8 {
                group.addTask {
                    await job.execution(Name("task \(task)"), attempt: 1) { context in
                        await withTaskGroup(of: Void.self) { group in
                            for _ in 0..<50 {
                                group.addTask {
                                    for _ in 0..<20 {
                                        context.progress("download").add(2)
                                        context.progress("download").done()
                                        context.progress().done(3)
                                        await Task.yield()
                                    }
                                }
                            }
                        }
                        #expect(await context.flush(atMost: .testTimeout))
                    }
                }
            }
        }
    }

    private static let expectedUnits: [String: [Int128]] = ["download": [8_000, 16_000], "": [24_000, 0]]

    @Test("concurrent reports of many tasks are counted exactly")
    func manyAtOnce() async throws {
        try await withServer { host in
            let job = try await host.openJob()
            await work(job)
            #expect(try await finalUnits(job) == Self.expectedUnits)
        }
    }

    @Test("the reports of an execution are in the job once it has ended, 100 times of 100")
    func ownWritesAreRead() async throws {
        try await withServer { host in
            var fresh = 0
            for number in 1...100 {
                let key = Name("k\(number)")
                let job = try await host.client.openJob(JobDescription(name: "n", key: key), logger: Self.logger)
                await job.execution("t", attempt: 1) { context in
                    context.progress().add(3)
                    context.progress().done(3)
                }
                var search = JobSearch()
                search.key = key
                let found = try #require(try await host.client.jobs(search).jobs.first)
                let read = try #require(try await job.snapshot())
                let isFresh = [found, read].allSatisfy { job in
                    job.snapshot.indicators.first?.counted == Units(total: 3, done: 3)
                        && job.snapshot.tasks.succeeded == 1
                }
                if isFresh { fresh += 1 }
            }
            #expect(fresh == 100)
        }
    }

    @Test("two executions with equal attempts do not conflict, and the later one counts")
    func equalAttempts() async throws {
        try await withServer { host in
            let job = try await host.openJob()
            for units in [5, 3] {
                await job.execution("t", attempt: 1) { context in
                    context.progress("l").done(units)
                    #expect(await context.flush(atMost: .testTimeout))
                }
            }
            #expect(try await finalUnits(job) == ["l": [3, 0]])
            let verdicts = try await host.client.events(of: try #require(job.id)).events.map(\.verdict)
            #expect(verdicts.allSatisfy { $0 == .counted || $0 == .superseded })
        }
    }

    @Test("lost responses make nothing count twice")
    func lostResponses() async throws {
        try await withServer { host in
            let job = try await host.openJob()
            let proxy = host.proxy
            let isOver = Mutex(false)
            let breaking = Task {
                // Each response is cut before its first byte, until every task has lost some.
                defer { proxy.heal() }
                for _ in 0..<8 where !isOver.withLock({ $0 }) {
                    proxy.cut(.toClient, after: 0)
                    try await eventually({ $0 > 0 || isOver.withLock { $0 } }) { proxy.passed(.toClient) }
                    proxy.heal()
                    // Some responses arrive before the next cut.
                    try await eventually({ $0 > 1_000 || isOver.withLock { $0 } }) { proxy.passed(.toClient) }
                }
            }
            await work(job)
            isOver.withLock { $0 = true }
            try await breaking.value
            #expect(try await finalUnits(job) == Self.expectedUnits)
        }
    }

    @Test("a server that is killed and restarted during reports loses nothing")
    func restarts() async throws {
        try await withServer { host in
            let job = try await host.openJob()
            async let working: Void = work(job)
            for _ in 0..<3 { try await host.killAndRestart() }
            await working
            #expect(try await finalUnits(job) == Self.expectedUnits)
        }
    }

    @Test("during an outage no report fails or waits, and everything is recorded afterwards")
    func outage() async throws {
        try await withServer { host in
            let job = try await host.openJob()
            host.proxy.cut(.toServer, after: 0)
            let context = job.startExecution("t", attempt: 1)
            let duration = ContinuousClock().measure {
                for _ in 0..<10_000 { context.progress("l").done() }
            }
            #expect(duration < .seconds(30), "reporting waited for the ledger")
            #expect(await !context.finish(.succeeded, atMost: .milliseconds(300)))
            try await eventually({ $0 > 0 }) { context.statistics.failures }
            #expect(context.statistics.lastError != nil && context.statistics.delivered == 0)
            host.proxy.heal()
            #expect(await context.flush(atMost: .testTimeout))
            #expect(context.statistics.lastError == nil && context.statistics.dropped == 0)
            #expect(try await finalUnits(job) == ["l": [10_000, 0]])
        }
    }

    @Test("a superseded execution is notified, and its reports do not count")
    func zombies() async throws {
        try await withServer { host in
            let job = try await host.openJob()
            let notifications = Mutex(0)
            let zombie = job.startExecution("t", attempt: 1) { notifications.withLock { $0 += 1 } }
            zombie.progress("l").done(5)
            #expect(await zombie.flush(atMost: .testTimeout))
            try await job.execution("t", attempt: 2) { context in
                context.progress("l").done(2)
                #expect(await context.flush(atMost: .testTimeout))
                zombie.progress("l").done(7)
                try await eventually {
                    zombie.progress("l").done(0)
                    return zombie.isSuperseded
                }
                #expect(!context.isSuperseded)
            }
            // An execution that starts after the newer one is notified at once, even without reports.
            let late = job.startExecution("t", attempt: 1) { notifications.withLock { $0 += 1 } }
            try await eventually { late.isSuperseded }
            await zombie.finish(.failed, atMost: .testTimeout)
            await late.finish(.canceled, atMost: .testTimeout)
            #expect(notifications.withLock { $0 } == 2)
            #expect(try await finalUnits(job) == ["l": [2, 0]])
        }
    }

    @Test("an invalid report is refused by the call and changes nothing")
    func refusals() async throws {
        try await withServer { host in
            let job = try await host.openJob()
            await job.execution("t") { context in
                #expect(!context.progress("l").add(-1))
                #expect(!context.progress("l").done(9_007_199_254_740_992))
                #expect(context.progress("l").done(9_007_199_254_740_991))
                #expect(!context.progress(Name(String(repeating: "x", count: 101))).done())
                #expect(context.progress(Name(String(repeating: "\u{1F469}", count: 100))).done())
                #expect(!context.progress("a\0b").done())
                #expect(context.progress("").done() && context.progress().done())
                for number in 0..<997 { #expect(context.progress(Name("\(number)")).add(0)) }
                #expect(!context.progress("one too many").done())
                #expect(context.statistics.refused >= 5)
                #expect(await context.flush(atMost: .testTimeout))
            }
            let found = try await finalUnits(job)
            #expect(found.count == 1_000)
            #expect(found["l"] == [9_007_199_254_740_991, 0] && found[""] == [2, 0])
        }
    }

    @Test("refused reports are not confirmed as recorded, and reports after the end are refused")
    func refusalsAreNotConfirmed() async throws {
        try await withServer { host in
            let missingJob = host.client.job(
                reporting: JobID(high: 0x0190_0000_0000_7000, low: 0x8000_0000_0000_0000), logger: Self.logger)
            let lost = missingJob.startExecution("t")
            lost.progress().done()
            #expect(await !lost.finish(.succeeded, atMost: .testTimeout))
            #expect(lost.statistics.dropped > 0 && lost.statistics.lastError != nil)
            let job = try await host.openJob()
            let context = job.startExecution("t")
            #expect(context.progress().done())
            #expect(await context.finish(.succeeded, atMost: .testTimeout))
            #expect(!context.progress().done())
            #expect(context.statistics.refused == 1)
            #expect(try await finalUnits(job) == ["": [1, 0]])
        }
    }

    @Test("a canceled task still waits until its last reports are recorded")
    func canceledTasks() async throws {
        try await withServer { host in
            let job = try await host.openJob()
            let task = Task {
                try await job.execution("t", attempt: 1) { context in
                    context.progress("l").done(3)
                    try await Task.sleep(for: .seconds(600))
                }
            }
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            let events = try await host.client.events(of: try #require(job.id)).events
            #expect(events.last?.event.body.type == .executionFinished)
            #expect(try await finalUnits(job) == ["l": [3, 0]])
        }
    }

    @Test("a task has the outcome of its closure and rethrows the closure's error")
    func outcomes() async throws {
        try await withServer { host in
            struct Broken: Error {}
            let job = try await host.openJob()
            let result = await job.execution("good") { _ in 42 }
            #expect(result == 42)
            await #expect(throws: Broken.self) { try await job.execution("bad") { _ in throw Broken() } }
            await #expect(throws: CancellationError.self) {
                try await job.execution("stopped") { _ in throw CancellationError() }
            }
            _ = try await finalUnits(job)
            let tasks = try await host.client.tasks(of: try #require(job.id)).tasks
            #expect(tasks.map(\.state.rawValue).sorted() == ["canceled", "failed", "succeeded"])
        }
    }

    @Test("without a ledger, reports do nothing and the task runs unchanged")
    func silence() async throws {
        let job = try LedgerJob.fromEnvironment()
        try #require(job.id == nil, "the test's own environment names a ledger")
        let result = await job.execution("t") { context in
            #expect(context.progress("l").add(3))
            #expect(await context.flush())
            return context.statistics.taken
        }
        #expect(result == 0)
        try await job.finish(.completed)
        #expect(try await job.snapshot() == nil)
        #expect(try await job.waitUntilFinished() == nil)
    }

    @Test(
        "the examples print the correct numbers",
        arguments: [
            ("subtasks", "units: 4/4\n"), ("workflow", "finalize: 1/1\nstep1: 4/4\nstep2: 4/4\n"),
        ])
    func examples(_ name: String, _ expected: String) async throws {
        try await withServer { host in
            let printed = try await example(name, host)
            #expect(printed == expected)
        }
    }

    @Test(
        "a process ended by a signal records all its reports; a killed one records none twice",
        arguments: [SIGTERM, SIGHUP, SIGINT, SIGKILL])
    func endings(_ signal: Int32) async throws {
        try await withServer { host in
            let job = try await host.openJob()
            let id = try #require(job.id)
            let process = Process()
            // A shell that runs the tests in the background ignores SIGINT, which child processes inherit.
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            process.arguments = ["--default-signal=INT,TERM,HUP", Self.examples.path, "worker"]
            process.environment = [
                "PROGRESS_LEDGER_URL": host.client.address.description, "PROGRESS_LEDGER_JOB": id.description,
                "PROGRESS_LEDGER_ATTEMPT": "1",
            ]
            let output = try ProcessOutput()
            process.standardOutput = try output.open()
            try process.begin()
            try await eventually({ $0 >= 5 }) { try await host.client.job(id).ledgerSequence }
            kill(process.processIdentifier, signal)
            try await eventually { !process.isRunning }
            #expect(process.terminationReason == .uncaughtSignal && process.terminationStatus == signal)
            let reported = try #require(output.text.split(separator: "\n").last.flatMap { Int128($0) })
            let counted = try #require(try await finalUnits(job)["units"]?[0])
            if signal != SIGKILL {
                // All accepted units are recorded. The process may have ended before it printed the last one.
                #expect((reported...reported + 1).contains(counted), "\(counted) of \(reported)")
            } else {
                #expect(counted <= reported + 1 && 2 * counted >= reported, "\(counted) of \(reported)")
            }
            // No report is recorded twice.
            let events = try await host.client.events(of: id).events
            #expect(events.allSatisfy { $0.verdict == .counted })
            let states = try await host.client.tasks(of: id).tasks.map(\.state.rawValue)
            #expect(signal == SIGKILL || states == ["canceled"])
        }
    }

    private static var examples: URL {
        URL(fileURLWithPath: ServerProcess.binary).deletingLastPathComponent()
            .appendingPathComponent("progress-ledger-examples")
    }

    @Test("a report costs less than a hundredth of a request, and each of two million is counted")
    func cost() async throws {
        try await withServer { host in
            let job = try await host.client.createJob(JobDescription(name: "read")).id
            // Both are measured in one run, so a busy machine slows both.
            let requests = 50
            let started = ContinuousClock.now
            for _ in 0..<requests { _ = try await host.client.job(job) }
            let request = started.duration(to: .now) / requests
            let printed = try await example("benchmark", host)
            #expect(printed.hasSuffix("every report was counted once\n"), "\(printed)")
            let costs = printed.matches(of: /: ([0-9]+) ns per call/).compactMap { Int64($0.1) }
            #expect(costs.count == 2, "\(printed)")
            for cost in costs { #expect(.nanoseconds(cost) * 100 < request, "\(printed)") }
        }
    }

    private func example(_ name: String, _ host: ProxiedServer) async throws -> String {
        let process = Process()
        process.executableURL = Self.examples
        process.arguments = [name]
        process.environment = ["PROGRESS_LEDGER_URL": host.client.address.description]
        let output = try ProcessOutput()
        process.standardOutput = try output.open()
        try process.begin()
        try await eventually { !process.isRunning }
        #expect(process.terminationStatus == 0)
        return output.text
    }
}
