import Foundation
import Ledger
import LedgerStore
import LedgerTestSupport
import PQ
import Testing

/// Tests that the server's memory stays bounded.
///
/// It must stay bounded for jobs of any size, for slow readers and while PostgreSQL does not respond. The server is a
/// process of its own, and the kernel reports its peak memory. Each test would need several times its limit if the
/// server held the data of the test as a whole.
@Suite("Memory", .serialized, .timeLimit(.minutes(10)))
struct MemoryTests {
    private static let mebibyte = 1 << 20

    /// A server process with measurements of its memory.
    private struct MeasuredServer {
        let process: ServerProcess
        let url: String

        /// Reads a value of `/proc/PID/status`, in bytes.
        private func memory(_ name: String) throws -> Int {
            let text = try String(contentsOfFile: "/proc/\(process.processIdentifier)/status", encoding: .utf8)
            let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("\(name):") })
            return try #require(line.split(separator: " ").dropFirst().first.flatMap { Int($0) }) << 10
        }

        /// Returns the growth of the server's peak memory during the closure, in bytes.
        func growth(_ body: () async throws -> Void) async throws -> Int {
            // "5" resets the peak (proc(5), clear_refs).
            try "5".write(toFile: "/proc/\(process.processIdentifier)/clear_refs", atomically: false, encoding: .ascii)
            let before = try memory("VmRSS")
            try await body()
            return try memory("VmHWM") - before
        }

        /// Runs curl and returns its output.
        func curl(_ arguments: [String]) async throws -> String {
            let output = try ProcessOutput()
            let curl = try Self.startCurl(arguments, output: output.open())
            try await eventually { !curl.isRunning }
            return output.text
        }

        /// Starts curl.
        static func startCurl(_ arguments: [String], output: FileHandle = .nullDevice) throws -> Process {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/curl")
            process.arguments = ["--silent"] + arguments
            process.standardOutput = output
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
            // A series with labels appears with its first request.
            if line == nil, name.contains("{") { return 0 }
            return Int(try #require(line?.split(separator: " ").last.flatMap { Double($0) }))
        }
    }

    /// Runs the closure with a server on a new database.
    ///
    /// - Parameters:
    ///   - projects: Whether the server folds events and runs replays.
    ///   - prepare: Prepares the ledger before the server starts.
    ///   - body: Receives the server, the ledger and the database.
    private func withServer(
        projects: Bool = false, prepare: (PostgresLedger, ConnectionTarget) async throws -> Void = { _, _ in },
        _ body: (MeasuredServer, PostgresLedger, ConnectionTarget) async throws -> Void
    ) async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, projection: nil) { ledger in
                try await prepare(ledger, target)
                let process = try ServerProcess(
                    ["serve", "--port", "0", "--database", target.description] + (projects ? [] : ["--no-projection"]))
                let server = MeasuredServer(process: process, url: try await process.url())
                try await body(server, ledger, target)
                process.send(SIGKILL)
                try await process.wait()
            }
        }
    }

    /// Writes events with long names directly into the table.
    ///
    /// Their hashes are wrong, but these tests do not check them.
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
        "a long history is exported, charted and verified in little memory, even with a slow reader"
    )
    func readsLongHistories() async throws {
        try await withServer { server, ledger, target in
            let job = try await ledger.createJob(JobDescription(name: "long")).view.id
            let events = 40_000
            try await Self.fill(job, events: events, target)
            let path = "\(server.url)/v1/jobs/\(job)"
            let discard = ["--output", "/dev/null", "--write-out", "%{http_code} %{size_download}"]
            let small = try await ledger.createJob(JobDescription(name: "short")).view.id
            // The first requests load everything that is loaded lazily.
            for part in ["export", "verify"] {
                _ = try await server.curl(discard + ["\(server.url)/v1/jobs/\(small)/\(part)"])
            }
            let growth = try await server.growth {
                // This reader reads the first bytes and then very few: the server must hold back the rest.
                let slow = try MeasuredServer.startCurl(discard + ["--limit-rate", "1k", "\(path)/export"])
                let figures = try await server.curl(discard + ["\(path)/export"]).split(separator: " ")
                #expect(figures.first == "200")
                let size = try #require(figures.last.flatMap { Int($0) })
                #expect(size > 600 * events, "\(size) bytes")
                #expect(slow.isRunning)
                // curl may have inherited a mask that blocks SIGTERM from the thread that started it.
                kill(slow.processIdentifier, SIGKILL)
                for part in ["history?label=\(String(repeating: "l", count: 100))", "verify"] {
                    let output = try await server.curl(discard + ["\(path)/\(part)"])
                    #expect(output.hasPrefix("200 "), "\(part)")
                }
            }
            #expect(growth < 24 * Self.mebibyte, "\(growth >> 20) MiB")
        }
    }

    // The test sends 600,000 events. Each takes some 400 bytes in memory, and more during parsing; a third may wait.
    @Test("while PostgreSQL blocks, appends are refused before they fill the memory")
    func refusesAppends() async throws {
        try await withServer { server, ledger, target in
            let job = try await ledger.createJob(JobDescription(name: "stalled")).view.id
            let requests = 60
            let file = "/tmp/progress-ledger-append-\(UUID().uuidString)"
            defer { unlink(file) }
            let event = #"{"type":"progress","task":"a task with a name too long to be kept in place","done":1}"#
            let events = Array(repeating: event, count: Limits.eventsPerAppendMax).joined(separator: ",")
            try "[\(events)]".write(toFile: file, atomically: false, encoding: .utf8)
            let url = "\(server.url)/v1/jobs/\(job)/events"
            let post = ["--header", "Content-Type: application/json", "--data-binary", "@\(file)"]
            let pool = Pool(target: target, logger: TestCluster.logger)
            try await pool.withTransaction { transaction in
                // Other sessions can read the heads, but cannot lock one.
                _ = try await transaction.query(Query("lock table ledger.job_head in exclusive mode", prepare: false))
                let growth = try await server.growth {
                    let outputs = Array(repeating: ["--output", "/dev/null", url], count: requests).flatMap { $0 }
                    let senders = try MeasuredServer.startCurl(
                        ["--http1.1", "--parallel", "--parallel-immediate", "--parallel-max", "\(requests)"] + post
                            + outputs)
                    try await eventually({ $0.pending + $0.refused == requests }) {
                        let pending = try await server.metric("append_pending_events") / Limits.eventsPerAppendMax
                        // Refused by the queue of appends, or by the budget of bodies.
                        let refused = try await server.metric(
                            #"http_request_seconds_count{route="/v1/jobs/{job}/events",method="POST",status="5xx"}"#)
                        return (pending: pending, refused: refused)
                    }
                    // curl may have inherited a mask that blocks SIGTERM.
                    kill(senders.processIdentifier, SIGKILL)
                }
                #expect(growth < 160 * Self.mebibyte, "\(growth >> 20) MiB")
            }
            await pool.close()
        }
    }

    // 120,000 events of 600 bytes each and more.
    @Test("a replay of many jobs and of a large one needs little memory")
    func replays() async throws {
        try await withServer(projects: true, prepare: Self.fold) { server, ledger, _ in
            let growth = try await server.growth {
                let status = try await server.curl([
                    "--request", "POST", "--header", "Content-Type: application/json", "--data", "{}",
                    "--output", "/dev/null", "--write-out", "%{http_code}", "\(server.url)/v1/replays",
                ])
                #expect(status == "202")
                try await eventually({ $0 != "running" }) {
                    try await ledger.pool.query(Query("select state from ledger.replay"))[0].decode(0, as: String.self)
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

    /// Creates forty jobs, one of them large, with current projections.
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
            try await eventually(equals: 0) { try await ledger.pool.query(behind)[0].decode(0, as: Int64.self) }
        }
    }
}
