import Foundation
import Ledger
import LedgerTestSupport
import LedgerWire
import PQ
import ProgressLedgerClient
import Testing

@testable import LedgerCommands

/// The command `report exec` in outages, and as the parent of processes.
@Suite("The command report exec in trouble", .timeLimit(.minutes(10)))
struct ReportExecFaultTests {
    /// The longest delay by a ledger with `--best-effort`.
    ///
    /// It includes the time that a busy machine needs.
    private static let bestEffortMax: Duration = .seconds(30)

    /// Runs the body with a proxy in front of a server.
    ///
    /// The environment is that of a new job behind the proxy.
    private func withProxy(
        _ body: (FaultProxy, [String: String], LedgerClient, JobID) async throws -> Void
    ) async throws {
        try await withServer { url, _ in
            let client = try LedgerClient(url: url)
            let job = try await client.createJob(JobDescription(name: "exec")).id
            let proxy = try FaultProxy(beforePort: try #require(URL(string: url)?.port))
            defer { proxy.close() }
            let environment = [
                "PROGRESS_LEDGER_URL": "http://127.0.0.1:\(try #require(proxy.target["port"]))",
                "PROGRESS_LEDGER_JOB": job.description,
            ]
            try await body(proxy, environment, client, job)
        }
    }

    private func executions(_ client: LedgerClient, _ job: JobID) async throws -> [ExecutionSummary] {
        try await client.tasks(of: job, TaskSearch()).tasks.first?.executions ?? []
    }

    @Test("with --best-effort, a server that refuses and then never responds delays by ten seconds")
    func refusesThenMute() async throws {
        let server = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(server) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        try withUnsafeMutablePointer(to: &address) { pointer in
            try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                // Until it listens, it refuses connections.
                try #require(bind(server, pointer, size) == 0 && getsockname(server, pointer, &size) == 0)
            }
        }
        let environment = [
            "PROGRESS_LEDGER_URL": "http://127.0.0.1:\(UInt16(bigEndian: address.sin_port))",
            "PROGRESS_LEDGER_JOB": "019a0000-0000-7000-8000-000000000001",
        ]
        let start = ContinuousClock.now
        async let run = CommandRun.ledger(
            "report", "exec", "--task", "t", "--best-effort", "--", "/bin/sh", "-c", "exit 3", environment: environment)
        try await Task.sleep(for: .seconds(4))
        try #require(listen(server, 16) == 0)
        #expect(try await run.status == 3)
        let elapsed = start.duration(to: .now)
        // A start that was not tried again would take no time.
        #expect((.seconds(8)..<Self.bestEffortMax).contains(elapsed), "\(elapsed)")
    }

    @Test("with --best-effort, a server that no longer responds delays the end by ten seconds")
    func muteAtEnd() async throws {
        try await withProxy { proxy, environment, client, job in
            let flag = FileManager.default.temporaryDirectory.appending(path: "exec-\(UUID().uuidString)").path()
            defer { TestFiles.remove(flag) }
            async let run = CommandRun.ledger(
                "report", "exec", "--task", "t", "--best-effort", "--", "/bin/sh", "-c",
                #"until [ -e "$0" ]; do sleep 0.05; done; exit 3"#, flag, environment: environment)
            try await eventually(equals: 1) { try await executions(client, job).count }
            proxy.hang()
            let start = ContinuousClock.now
            try #require(FileManager.default.createFile(atPath: flag, contents: nil))
            let ended = try await run
            let elapsed = start.duration(to: .now)
            #expect(ended.status == 3 && ended.errors.contains("may not be recorded"), "\(ended)")
            #expect(elapsed < Self.bestEffortMax, "\(elapsed)")
        }
    }

    @Test("a start whose response is lost is repeated, and the command runs as one execution")
    func lostResponse() async throws {
        try await withProxy { proxy, environment, client, job in
            proxy.cut(.toClient, after: 1)
            async let run = CommandRun.ledger(
                "report", "exec", "--task", "t", "--", "/bin/sh", "-c", #"exec "$0" report done 2 --wait"#,
                ServerProcess.binary, environment: environment)
            try await eventually(equals: 1) { try await executions(client, job).count }
            proxy.heal()
            let ended = try await run
            #expect(ended.status == 0, "\(ended)")
            try await eventually(equals: [.succeeded] as [ExecutionOutcome?]) {
                try await executions(client, job).map(\.outcome)
            }
            #expect(try await client.job(job).snapshot.indicators.first?.counted.done == 2)
        }
    }

    @Test("while the command runs, the start is repeated as a sign of life")
    func heartbeats() async throws {
        try await withProxy { _, environment, client, job in
            let script = """
                until [ "$("$0" events --type execution_started --json | grep -o '"sequence"' | wc -l)" -ge 2 ]
                do sleep 1; done
                """
            let run = try await CommandRun.ledger(
                "report", "exec", "--task", "t", "--", "/bin/sh", "-c", script, ServerProcess.binary,
                environment: environment)
            #expect(run.status == 0, "\(run)")
            #expect(try await executions(client, job).count == 1)
        }
    }

    @Test("children that the command does not know are reaped, as process 1 of a container must")
    func reapsOthers() async throws {
        // The background process is a child of the shell, and then of the program that replaces it.
        let inner = """
            for i in $(seq 100); do
                set -- $(cat /proc/$PPID/task/*/children)
                [ $# = 1 ] && echo reaped && exit 5
                sleep 0.1
            done
            echo "$@"
            """
        let run = try await CommandRun.run(
            "/bin/sh",
            [
                "-c", #"trap '' CHLD; sleep 0.3 & exec "$0" report exec --best-effort -- /bin/sh -c "$1""#,
                ServerProcess.binary, inner,
            ])
        #expect(run.output == "reaped\n" && run.status == 5, "\(run)")
    }

    @Test("timeout --foreground stops a command by one signal, and its execution is canceled")
    func oneSignal() async throws {
        try await withProxy { _, environment, client, job in
            // The command ends a second after the first signal, and counts the others.
            let script = """
                count=0; trap 'count=$((count + 1))' TERM
                while [ $count = 0 ]; do sleep 0.05; done
                for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.1; done
                echo "signals: $count"; exit 9
                """
            let run = try await CommandRun.run(
                "/usr/bin/timeout",
                [
                    "--foreground", "8", ServerProcess.binary, "report", "exec", "--task", "t", "--", "/bin/sh", "-c",
                    script,
                ],
                environment: environment)
            #expect(run.output == "signals: 1\n" && run.status == 124, "\(run)")
            try await eventually(equals: [.canceled] as [ExecutionOutcome?]) {
                try await executions(client, job).map(\.outcome)
            }
        }
    }
}
