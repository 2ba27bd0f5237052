import Foundation
import Ledger
import LedgerTestSupport
import LedgerWire
import Logging
import PQ
import ProgressLedgerClient
import Testing

/// Notes, positions and parts of the Swift client, with a real server.
@Suite("Reports from several processes, and their notes", .timeLimit(.minutes(10)))
struct AttachedReportTests {
    private static let logger: Logger = {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        return logger
    }()

    private func withClient(_ body: (LedgerClient, FaultProxy) async throws -> Void) async throws {
        try await withLedgerDatabase { target in
            let server = try ServerProcess(["serve", "--port", "0", "--database", target.description])
            let proxy = try FaultProxy(beforePort: try #require(URL(string: try await server.url())?.port))
            try await body(try LedgerClient(url: "http://127.0.0.1:\(proxy.target["port"] ?? "")"), proxy)
            proxy.close()
            server.send(SIGTERM)
            try await server.wait()
        }
    }

    private func openJob(_ client: LedgerClient) async throws -> LedgerJob {
        try await client.openJob(JobDescription(name: "parts"), logger: Self.logger)
    }

    /// Clients as those of processes that were given the handle by their environment.
    private func attached(to handle: ExecutionHandle) throws -> ExecutionContext {
        let copy = try #require(ExecutionHandle(environment: handle.environment))
        return try LedgerClient(url: try #require(copy.url)).attach(to: copy, logger: Self.logger)
    }

    @Test("reports of several processes to one execution are exact, whatever happens to requests")
    func parts() async throws {
        try await withClient { client, proxy in
            let job = try await openJob(client)
            let context = job.startExecution("t", attempt: 3)
            let handle = try #require(context.handle())
            context.progress("a").add(60)
            for _ in 0..<3 {
                // The responses to reports are lost until the proxy forwards everything again.
                proxy.cut(.toClient, after: 1)
                let part = try attached(to: handle)
                for _ in 0..<20 { part.progress("a").done() }
                async let isRecorded = part.finish(.failed, atMost: .testTimeout)
                try await eventually { part.statistics.failures > 0 }
                proxy.heal()
                #expect(await isRecorded)
                #expect(part.statistics.dropped == 0 && !part.progress("a").done(), "\(part.statistics)")
            }
            #expect(await context.finish(.succeeded, atMost: .testTimeout))
            let view = try #require(try await job.snapshot())
            #expect(view.snapshot.indicators.first?.counted == Units(total: 60, done: 60))
            #expect(view.snapshot.tasks.executions == 1 && view.snapshot.tasks.succeeded == 1)
            let events = try await client.events(of: try #require(job.id)).events.map(\.event)
            let parts = events.compactMap { event in
                if case .progress(let report) = event.body { report.part } else { nil }
            }
            #expect(Set(parts).count == 3)
        }
    }

    @Test("reports of an attached process start no execution of a canceled job")
    func canceledJob() async throws {
        try await withClient { client, _ in
            let job = try await openJob(client)
            try await job.finish(.canceled, atMost: .testTimeout)
            let id = try #require(job.id)
            let part = client.attach(
                to: ExecutionHandle(job: id, task: "t", execution: "e", attempt: 1), logger: Self.logger)
            part.progress("a").done(7)
            #expect(await !part.finish(.succeeded, atMost: .testTimeout))
            #expect(part.statistics.dropped == 1 && part.jobEnded == .canceled, "\(part.statistics)")
            let view = try await client.job(id)
            #expect(view.snapshot.state == .canceled && view.ledgerSequence == 2)
            // One that has reported before goes on.
            let other = try await openJob(client)
            let context = other.startExecution("t", attempt: 1)
            let attached = try attached(to: try #require(context.handle()))
            attached.progress("a").done()
            #expect(await attached.flush(atMost: .testTimeout))
            try await other.finish(.canceled, atMost: .testTimeout)
            attached.progress("a").done(2)
            #expect(await attached.finish(.succeeded, atMost: .testTimeout))
            #expect(try await other.snapshot()?.snapshot.indicators.first?.counted.done == 3)
        }
    }

    private struct DiskFull: Error {}

    @Test("notes, units, positions and carried units are recorded, and the type of the error")
    func notes() async throws {
        try await withClient { client, _ in
            let job = try await openJob(client)
            await #expect(throws: DiskFull.self) {
                try await job.execution("t", attempt: 1, link: "https://ci.example.com/1") { context in
                    let download = context.progress("download", unit: "bytes")
                    download.setTotal(100, message: "reading\tit", link: "ftp://refused")
                    download.skip(40)
                    download.setDone(70)
                    download.setDone(60)
                    #expect(context.statistics.dropped == 1 && context.statistics.taken == 4)
                    throw DiskFull()
                }
            }
            let id = try #require(job.id)
            let indicator = try #require(try await client.job(id).snapshot.indicators.first)
            #expect(indicator.counted == Units(total: 100, done: 70) && indicator.carried == 40)
            #expect(indicator.unit == "bytes" && indicator.message == "reading it")
            let execution = try #require(try await client.tasks(of: id, TaskSearch()).tasks.first?.executions.first)
            #expect(execution.link == "https://ci.example.com/1" && execution.outcome == .failed)
            #expect(execution.message?.text.hasSuffix(".DiskFull") == true, "\(execution)")
        }
    }

    @Test("the example of a resumed task counts its carried units")
    func example() async throws {
        try await withClient { client, _ in
            let process = Process()
            process.executableURL = URL(fileURLWithPath: ServerProcess.binary).deletingLastPathComponent()
                .appendingPathComponent("progress-ledger-examples")
            process.arguments = ["resumed"]
            process.environment = ["PROGRESS_LEDGER_URL": client.address.description]
            let output = try ProcessOutput()
            process.standardOutput = try output.open()
            try process.begin()
            try await eventually { !process.isRunning }
            #expect(process.terminationStatus == 0 && output.text == "download: 4096/4096\n", "\(output.text)")
            let indicator = try #require(try await client.jobs(JobSearch()).jobs.first?.snapshot.indicators.first)
            #expect(indicator.carried == 1_024 && indicator.unit == "bytes")
        }
    }

    @Test("without variables an attached context reports nothing")
    func silent() async throws {
        let context = try ExecutionContext.attachFromEnvironment(logger: Self.logger)
        #expect(context.handle() == nil && context.progress("a").done() && context.statistics.taken == 0)
        #expect(await context.finish(.succeeded))
    }
}
