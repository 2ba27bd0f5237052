import Foundation
import Ledger
import LedgerStore
import LedgerTestSupport
import PQ
import Testing

/// However large a job is, however slow a reader and however long PostgreSQL stands still: what the server keeps in memory
/// is limited.
///
/// The server is a process of its own, and the kernel tells the most that it has ever had in memory at once. Each test
/// would need several times its limit if what it is about were kept as a whole.
@Suite("Memory", .serialized, .timeLimit(.minutes(30)))
struct MemoryTests {
    private static let mebibyte = 1 << 20

    /// A server without a projection worker, whose memory is looked at.
    private struct TestHost {
        let server: ServerProcess
        let url: String

        /// Reads a line of what the kernel tells of the process, in bytes.
        private func figure(_ name: String) throws -> Int {
            let text = try String(contentsOfFile: "/proc/\(server.processIdentifier)/status", encoding: .utf8)
            let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("\(name):") })
            return try #require(line.split(separator: " ").dropFirst().first.flatMap { Int($0) }) << 10
        }

        /// How much more than before the closure the server has had in memory at any moment of it.
        func growth(_ body: () async throws -> Void) async throws -> Int {
            // "5" forgets the peak so far (proc(5), clear_refs).
            try "5".write(toFile: "/proc/\(server.processIdentifier)/clear_refs", atomically: false, encoding: .ascii)
            let before = try figure("VmRSS")
            try await body()
            return try figure("VmHWM") - before
        }

        /// Sends a request and returns what curl tells of it.
        func curl(_ arguments: [String]) async throws -> String {
            let process = try Self.begin(arguments)
            try await eventually { !process.isRunning }
            let output = process.standardOutput as? Pipe
            return String(decoding: output?.fileHandleForReading.readDataToEndOfFile() ?? Data(), as: UTF8.self)
        }

        /// What it prints must be little: nobody reads it before the process has ended.
        static func begin(_ arguments: [String]) throws -> Process {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/curl")
            process.arguments = ["--silent"] + arguments
            process.standardOutput = Pipe()
            process.standardError = FileHandle.nullDevice
            try process.begin()
            return process
        }

        func metric(_ name: String) async throws -> Int {
            let file = "/tmp/progress-ledger-metrics-\(UUID().uuidString)"
            defer { unlink(file) }
            _ = try await curl(["--output", file, "\(url)/metrics"])
            let text = try String(contentsOfFile: file, encoding: .utf8)
            let line = text.split(separator: "\n").first { $0.hasPrefix("progress_ledger_\(name) ") }
            return Int(try #require(line?.split(separator: " ").last.flatMap { Double($0) }))
        }
    }

    /// - Parameters:
    ///   - projects: Whether the server folds, and works on replays.
    ///   - prepare: What is done before it starts.
    private func withHouse(
        projects: Bool = false, prepare: (PostgresLedger, ConnectionTarget) async throws -> Void = { _, _ in },
        _ body: (TestHost, PostgresLedger, ConnectionTarget) async throws -> Void
    ) async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, projection: nil) { ledger in
                try await prepare(ledger, target)
                let server = try ServerProcess(
                    ["serve", "--port", "0", "--database", target.description] + (projects ? [] : ["--no-projection"]))
                let house = TestHost(server: server, url: try await server.url())
                try await body(house, ledger, target)
                server.send(SIGKILL)
                try await server.wait()
            }
        }
    }

    /// Events of long names, written past the ledger: nothing here looks at their hashes.
    private static func fill(
        _ job: JobID, events: Int, executions: Int = 1, _ target: ConnectionTarget
    ) async throws {
        let pool = Pool(target: target, logger: TestCluster.logger)
        _ = try await pool.pipeline(
            [
                """
                insert into ledger.event (job_id, sequence, recorded_at, type, hash, task, execution, label, done)
                select '\(job)', n, now(), 3, sha256(n::text::bytea), 'task ' || repeat('t', 190),
                    'run ' || n % \(executions) || repeat('e', 190), repeat('l', 100), 1
                from generate_series(2, \(events)) as n
                """,
                "update ledger.job_head set sequence = \(events), recorded_at = now() where job_id = '\(job)'",
            ].map { Query($0, prepare: false) }, deadline: .seconds(60))
        await pool.close()
    }

    @Test(
        "a long history is exported, folded for a chart and verified in little memory, also while a reader does not read"
    )
    func readsLongHistories() async throws {
        try await withHouse { house, ledger, target in
            let job = try await ledger.createJob(JobDescription(name: "long")).view.id
            let events = 40_000
            try await Self.fill(job, events: events, target)
            let path = "\(house.url)/v1/jobs/\(job)"
            let discard = ["--output", "/dev/null", "--write-out", "%{http_code} %{size_download}"]
            let small = try await ledger.createJob(JobDescription(name: "short")).view.id
            // What is loaded at the first use of anything is there.
            for part in ["export", "verify"] {
                _ = try await house.curl(discard + ["\(house.url)/v1/jobs/\(small)/\(part)"])
            }
            let growth = try await house.growth {
                // It takes the first bytes and then hardly any: the server must wait for it with the rest.
                let slow = try TestHost.begin(discard + ["--limit-rate", "1k", "\(path)/export"])
                let told = try await house.curl(discard + ["\(path)/export"]).split(separator: " ")
                #expect(told.first == "200")
                let size = try #require(told.last.flatMap { Int($0) })
                #expect(size > 600 * events, "\(size) bytes")
                #expect(slow.isRunning)
                // SIGTERM may be blocked in it, as it may be on the thread that has started it.
                kill(slow.processIdentifier, SIGKILL)
                for part in ["history?label=\(String(repeating: "l", count: 100))", "verify"] {
                    let answer = try await house.curl(discard + ["\(path)/\(part)"])
                    #expect(answer.hasPrefix("200 "), "\(part)")
                }
            }
            #expect(growth < 24 * Self.mebibyte, "\(growth >> 20) MiB")
        }
    }

    // 600,000 events are sent, each of which takes some 400 bytes here, and some more while it is read; a third may wait.
    @Test("while PostgreSQL takes nothing, appends are refused before they fill the memory")
    func refusesAppends() async throws {
        try await withHouse { house, ledger, target in
            let job = try await ledger.createJob(JobDescription(name: "stalled")).view.id
            let requests = 60
            let file = "/tmp/progress-ledger-append-\(UUID().uuidString)"
            defer { unlink(file) }
            let event = #"{"type":"progress","task":"a task with a name too long to be kept in place","done":1}"#
            let events = Array(repeating: event, count: Limits.eventsPerAppendMax).joined(separator: ",")
            try "[\(events)]".write(toFile: file, atomically: false, encoding: .utf8)
            let url = "\(house.url)/v1/jobs/\(job)/events"
            let post = ["--header", "Content-Type: application/json", "--data-binary", "@\(file)"]
            let pool = Pool(target: target, logger: TestCluster.logger)
            try await pool.withTransaction { transaction in
                // Others may read the heads, and nobody may lock one.
                _ = try await transaction.query(Query("lock table ledger.job_head in exclusive mode", prepare: false))
                let growth = try await house.growth {
                    let outputs = Array(repeating: ["--output", "/dev/null", url], count: requests).flatMap { $0 }
                    let senders = try TestHost.begin(
                        ["--http1.1", "--parallel", "--parallel-immediate", "--parallel-max", "\(requests)"] + post
                            + outputs)
                    try await eventually {
                        let pending = try await house.metric("append_pending_events") / Limits.eventsPerAppendMax
                        let refused = try await house.metric("append_refused_total")
                        return pending + refused == requests
                    }
                    senders.terminate()
                }
                #expect(growth < 160 * Self.mebibyte, "\(growth >> 20) MiB")
            }
            await pool.close()
        }
    }

    // 120,000 events of 600 bytes each and more.
    @Test("a replay of many jobs and of a large one takes little memory, whatever there is to fold")
    func replays() async throws {
        try await withHouse(projects: true, prepare: Self.fold) { house, ledger, _ in
            let growth = try await house.growth {
                let answer = try await house.curl([
                    "--request", "POST", "--header", "Content-Type: application/json", "--data", "{}",
                    "--output", "/dev/null", "--write-out", "%{http_code}", "\(house.url)/v1/replays",
                ])
                #expect(answer == "202")
                try await eventually {
                    let rows = try await ledger.pool.query(Query("select state from ledger.replay"))
                    return try rows[0].decode(0, as: String.self) != "running"
                }
            }
            let rows = try await ledger.pool.query(
                Query(
                    """
                    select count(*), sum(difference_count)::bigint
                    from ledger.replay_job as job
                    join ledger.replay on replay.job_id = job.replay
                    where replay.state = 'done' and job.state = 'compared'
                    """))
            #expect(try rows[0].decode(0, as: Int64.self) >= 40)
            #expect(try rows[0].decode(1, as: Int64.self) == 0)
            #expect(growth < 48 * Self.mebibyte, "\(growth >> 20) MiB")
        }
    }

    /// Forty jobs, of which one is large, with live projections.
    private static func fold(_ ledger: PostgresLedger, _ target: ConnectionTarget) async throws {
        let events = 2_000
        for number in 0..<40 {
            let job = try await ledger.createJob(JobDescription(name: Name("job \(number)"))).view.id
            try await fill(job, events: number == 0 ? 20 * events : events, executions: 10, target)
        }
        let behind = Query(
            """
            select count(*)
            from ledger.job_head as head
            join ledger.snapshot as live on live.job_id = head.job_id and live.is_live
            where live.sequence < head.sequence
            """)
        try await withRunningLedger(on: target) { ledger in
            try await eventually {
                try await ledger.pool.query(behind)[0].decode(0, as: Int64.self) == 0
            }
        }
    }
}
