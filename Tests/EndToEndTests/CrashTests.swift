import Foundation
import Ledger
import LedgerChain
import LedgerStore
import LedgerTestSupport
import LedgerWire
import PQ
import ProgressLedgerClient
import Testing

/// Tests that kill servers, workers and PostgreSQL under load and check the record.
@Suite("Crashes", .serialized)
struct CrashTests {
    @Test(
        "killed servers, workers and PostgreSQL lose no acknowledged event and count none twice"
    )
    func survives() async throws {
        try await withCrashHost { host in
            let jobs = try await host.createJobs(3)
            let load = try Load(ports: host.ports, jobs: jobs)
            let reporters = Task { try await load.run(reporters: 8, reports: 150) }
            defer { reporters.cancel() }
            for round in 0..<3 {
                try await load.waitForProgress(beyond: round * 4)
                try await host.killServer(round % 2)
                try await load.waitForProgress(beyond: round * 4 + 1)
                try await host.killWorker(round)
                try await load.waitForProgress(beyond: round * 4 + 2)
                try await host.killConnections()
                try await load.waitForProgress(beyond: round * 4 + 3)
                try await host.killPostgres()
            }
            let acknowledged = try await reporters.value
            #expect(acknowledged.count == 3 * 8 * 150)
            for job in jobs { try await host.verify(job, acknowledged.filter { $0.job == job }, reports: 8 * 150) }
        }
    }

    private func withCrashHost(_ body: (CrashHost) async throws -> Void) async throws {
        let host = try await CrashHost()
        do { try await body(host) } catch {
            Issue.record("the servers' last output: \(host.lastOutput)")
            await host.tearDown()
            throw error
        }
        await host.tearDown()
    }
}

/// A report that the server has acknowledged, with its sequence.
struct Acknowledged: Sendable {
    let job: JobID
    let reporter: Int
    let report: Int64
    let sequence: EventSequence
}

/// Reporters that repeat every report until the server acknowledges it.
actor Load {
    private let clients: [LedgerClient]
    private let jobs: [JobID]
    private var acknowledged: [Acknowledged] = []

    init(ports: [Int], jobs: [JobID]) throws {
        var settings = LedgerClient.Settings()
        settings.patience = .milliseconds(1)
        clients = try ports.map { port in
            LedgerClient(address: try ServerAddress("http://127.0.0.1:\(port)"), settings: settings)
        }
        self.jobs = jobs
    }

    func run(reporters: Int, reports: Int64) async throws -> [Acknowledged] {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for reporter in 0..<reporters {
                group.addTask {
                    for report in 1...reports {
                        for job in self.jobs { try await self.report(reporter, report, to: job) }
                    }
                }
            }
            try await group.waitForAll()
        }
        for client in clients { client.close() }
        return acknowledged
    }

    private func report(_ reporter: Int, _ report: Int64, to job: JobID) async throws {
        let draft = EventDraft(
            .progress(
                ProgressReport(
                    reference: ExecutionReference(task: Name("reporter \(reporter)"), execution: "only"),
                    report: report,
                    label: "units", total: 1, done: 1)))
        // Each reporter has a server, and uses the other one if that does not respond.
        var server = reporter
        let end = ContinuousClock.now + .testTimeout
        while true {
            do {
                let appended = try await clients[server % clients.count].append([draft], to: job)
                acknowledged.append(
                    Acknowledged(job: job, reporter: reporter, report: report, sequence: appended.sequences.upperBound))
                return
            } catch {
                guard .now < end else { throw error }
                server += 1
                // The pause is the pace of the load, not a wait: repeating at once would starve the starting servers.
                try await Task.sleep(for: .milliseconds(20))
            }
        }
    }

    /// Waits until another part of the load is done, so that crashes occur in it.
    func waitForProgress(beyond part: Int) async throws {
        try await eventually({ $0 > part * 250 + 50 }) { self.acknowledged.count }
    }
}

/// A durable PostgreSQL, two servers and three workers that tests kill and restart.
final class CrashHost: @unchecked Sendable {
    // `@unchecked`: only one test uses it, and kills one process after another.
    let ports: [Int]
    private let folder: String
    private var postgres: LocalPostgres
    private var servers: [ServerProcess] = []
    private var workers: [ServerProcess] = []
    private let target: ConnectionTarget
    private let database: String

    init() async throws {
        folder = "/tmp/progress-ledger-crash-\(UUID().uuidString.prefix(8))"
        postgres = try await LocalPostgres.start(LocalPostgres.Settings(dataFolder: folder), logger: TestCluster.logger)
        try await postgres.ensureDatabase("ledger")
        target = postgres.target.setting("dbname", "ledger")
        let host = try #require(target["host"])
        let user = try #require(target["user"])
        database = "host=\(host) user=\(user) dbname=ledger"
        _ = try await Migrator(target: target, logger: TestCluster.logger).migrate()
        var ports: [Int] = []
        for _ in 0..<2 {
            let server = try ServerProcess(["serve", "--port", "0", "--no-projection", "--database", database])
            servers.append(server)
            let url = try await server.url()
            ports.append(try #require(url.split(separator: ":").last.flatMap { Int($0) }))
        }
        self.ports = ports
        for _ in 0..<3 { workers.append(try ServerProcess(["project", "--database", database])) }
    }

    /// The last output of the servers.
    var lastOutput: String { servers.map { String($0.printed.suffix(3_000)) }.joined(separator: "\n--\n") }

    func tearDown() async {
        for process in servers + workers { process.send(SIGKILL) }
        do {
            try await postgres.stop()
            try FileManager.default.removeItem(atPath: folder)
        } catch { Issue.record("cannot remove the data: \(error)") }
    }

    func createJobs(_ count: Int) async throws -> [JobID] {
        let client = LedgerClient(address: try ServerAddress("http://127.0.0.1:\(ports[0])"))
        var jobs: [JobID] = []
        for number in 1...count {
            jobs.append(try await client.createJob(JobDescription(name: Name("job \(number)"))).id)
        }
        client.close()
        return jobs
    }

    func killServer(_ index: Int) async throws {
        servers[index].send(SIGKILL)
        try await servers[index].wait()
        servers[index] = try ServerProcess([
            "serve", "--port", "\(ports[index])", "--no-projection", "--database", database,
        ])
        _ = try await servers[index].url()
    }

    func killWorker(_ index: Int) async throws {
        workers[index].send(SIGKILL)
        try await workers[index].wait()
        workers[index] = try ServerProcess(["project", "--database", database])
    }

    func killConnections() async throws {
        try await withPool { pool in
            _ = try await pool.query(
                Query(
                    "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'ledger' and pid <> pg_backend_pid()"
                ))
        }
    }

    func killPostgres() async throws {
        let process = try #require(postgres.serverProcess)
        kill(process, SIGKILL)
        try await eventually { kill(process, 0) != 0 }
        postgres = try await LocalPostgres.start(LocalPostgres.Settings(dataFolder: folder), logger: TestCluster.logger)
    }

    private func withPool<R>(_ body: (Pool) async throws -> R) async throws -> R {
        let pool = Pool(target: target, logger: TestCluster.logger)
        let result = try await body(pool)
        await pool.close()
        return result
    }

    /// Verifies a job's events, hash chain and snapshot.
    ///
    /// The sequence has no gap, every acknowledged report is at its sequence, each report counts once, the hash chain
    /// is correct, and the snapshot equals the pure fold of the events.
    func verify(_ job: JobID, _ acknowledged: [Acknowledged], reports: Int) async throws {
        let client = LedgerClient(address: try ServerAddress("http://127.0.0.1:\(ports[1])"))
        let head = try await client.job(job).ledgerSequence
        try await eventually(equals: head) { try await client.job(job).snapshot.sequence }
        var events: [EventSequence: Event] = [:]
        var fold = Fold()
        var chain = HashChain(job: job)
        for try await explained in client.eventStream(of: job) {
            #expect(explained.event.sequence == fold.progress.sequence + 1)
            try fold.apply(explained.event)
            #expect(chain.append(explained.event) == explained.hash)
            events[explained.event.sequence] = explained.event
        }
        #expect(fold.progress.sequence == head)
        for acknowledgement in acknowledged {
            guard case .progress(let progress) = events[acknowledgement.sequence]?.body else {
                Issue.record("report \(acknowledgement.report) is not at \(acknowledgement.sequence)")
                continue
            }
            #expect(progress.report == acknowledgement.report)
            #expect(progress.reference.task == Name("reporter \(acknowledgement.reporter)"))
        }
        let snapshot = try await client.job(job).snapshot
        #expect(snapshot == fold.snapshot())
        #expect(snapshot.indicators.first?.counted == Units(total: Int128(reports), done: Int128(reports)))
        client.close()
    }
}
