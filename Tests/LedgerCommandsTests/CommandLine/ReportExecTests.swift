import Foundation
import Ledger
import LedgerTestSupport
import LedgerWire
import ProgressLedgerClient
import Testing

@testable import LedgerCommands

@Suite("The command report exec", .timeLimit(.minutes(10)))
struct ReportExecTests {
    /// The environment of a new job.
    private func newJob(at url: String) async throws -> (environment: [String: String], job: JobID) {
        let created = try await CommandRun.ledger("report", "job", "create", "exec", "--server", url)
        let job = try #require(created.lines.first.flatMap { JobID($0) })
        let environment = ["PROGRESS_LEDGER_URL": url, "PROGRESS_LEDGER_JOB": job.description]
        return (environment, job)
    }

    private func lastExecution(of task: Name, in job: JobID, _ url: String) async throws -> ExecutionSummary? {
        let client = try LedgerClient(url: url)
        return try await client.tasks(of: job, TaskSearch()).tasks.first { $0.name == task }?.executions.last
    }

    @Test(
        "the exit code is the command's, and the outcome follows from it",
        arguments: [
            ("exit 0", 0, ExecutionOutcome.succeeded, nil), ("exit 3", 3, .failed, "exit code 3"),
            ("exit 64", 64, .failed, "exit code 64"),
            ("kill -KILL $$", 137, .failed, "killed by signal 9 (Killed)"),
        ] as [(String, Int32, ExecutionOutcome, Name?)])
    func exitCodes(script: String, status: Int32, outcome: ExecutionOutcome, message: Name?) async throws {
        try await withServer { url, _ in
            let (environment, job) = try await newJob(at: url)
            let run = try await CommandRun.ledger(
                "report", "exec", "--task", "t", "--link", "https://example.com/log", "--", "/bin/sh", "-c",
                "echo out; echo err >&2; \(script)", environment: environment)
            #expect(run.status == status && run.output == "out\n" && run.errors == "err\n", "\(run)")
            try await eventually(equals: outcome) { try await lastExecution(of: "t", in: job, url)?.outcome }
            let execution = try await lastExecution(of: "t", in: job, url)
            #expect(execution?.message == message && execution?.link == "https://example.com/log")
        }
    }

    @Test("the command can report to its execution, and has the arguments and the input as given")
    func environment() async throws {
        try await withServer { url, _ in
            let (environment, job) = try await newJob(at: url)
            let script = """
                test "$1" = 'a  b' && test "$PROGRESS_LEDGER_ATTEMPT" = 1 && test -n "$PROGRESS_LEDGER_EXECUTION" &&
                exec "$0" report done 2 --label x --report 1 --wait
                """
            let run = try await CommandRun.ledger(
                "report", "exec", "--task", "t", "--", "/bin/sh", "-c", script, ServerProcess.binary, "a  b",
                environment: environment)
            #expect(run.status == 0, "\(run.errors)")
            try await eventually(equals: ExecutionOutcome.succeeded) {
                try await lastExecution(of: "t", in: job, url)?.outcome
            }
            let execution = try await lastExecution(of: "t", in: job, url)
            #expect(execution?.progress.first?.units.done == 2)
        }
    }

    @Test("a signal is passed on, and the execution is canceled")
    func signals() async throws {
        try await withServer { url, _ in
            let (environment, job) = try await newJob(at: url)
            // The parent of the shell is the command; the shell exits with the code of its trap.
            let script = "trap 'exit 7' TERM; kill -TERM $PPID; while :; do sleep 0.05; done"
            let run = try await CommandRun.ledger(
                "report", "exec", "--task", "t", "--", "/bin/sh", "-c", script, environment: environment)
            #expect(run.status == 7, "\(run.errors)")
            try await eventually(equals: ExecutionOutcome.canceled) {
                try await lastExecution(of: "t", in: job, url)?.outcome
            }
        }
    }

    @Test("a command that cannot be run gives the exit code of a shell, and fails its execution")
    func missingCommand() async throws {
        try await withServer { url, _ in
            let (environment, job) = try await newJob(at: url)
            let run = try await CommandRun.ledger(
                "report", "exec", "--task", "t", "--", "no-such-command", environment: environment)
            #expect(run.status == 127 && run.errors.contains("cannot run no-such-command"), "\(run)")
            try await eventually(equals: ExecutionOutcome.failed) {
                try await lastExecution(of: "t", in: job, url)?.outcome
            }
            #expect(try await CommandRun.ledger("report", "exec", "--task", "t", environment: environment).status == 64)
        }
    }

    @Test("a start that fails keeps the command from running, unless with --best-effort")
    func bestEffort() async throws {
        // Nothing listens on port 9 (discard).
        let unreachable = [
            "PROGRESS_LEDGER_URL": "http://127.0.0.1:9",
            "PROGRESS_LEDGER_JOB": "019a0000-0000-7000-8000-000000000001",
        ]
        func run(_ environment: [String: String], _ options: [String]) async throws -> CommandRun {
            try await CommandRun.run(
                ServerProcess.binary,
                ["report", "exec", "--patience", "0"] + options + ["--", "/bin/sh", "-c", "echo ran; exit 3"],
                environment: environment)
        }
        let strict = try await run(unreachable, ["--task", "t"])
        #expect(strict.status == ExitStatus.unavailable.rawValue && strict.output.isEmpty, "\(strict)")
        let start = ContinuousClock.now
        let lenient = try await run(unreachable, ["--task", "t", "--best-effort"])
        #expect(lenient.status == 3 && lenient.output == "ran\n", "\(lenient)")
        #expect(lenient.errors.contains("the command runs without a report"), "\(lenient)")
        #expect(start.duration(to: .now) < .seconds(20))
        // Without a job or a task there is nothing to report to.
        let unconfigured = try await run([:], ["--best-effort"])
        #expect(unconfigured.status == 3 && unconfigured.output == "ran\n", "\(unconfigured)")
        #expect(try await run([:], []).status == ExitStatus.usage.rawValue)
    }

    /// Runs the body with the URL of a server that accepts and never responds.
    private func withMuteServer(_ body: (String) async throws -> Void) async throws {
        let server = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(server) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        try withUnsafeMutablePointer(to: &address) { pointer in
            try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                try #require(bind(server, pointer, size) == 0 && listen(server, 16) == 0)
                try #require(getsockname(server, pointer, &size) == 0)
            }
        }
        try await body("http://127.0.0.1:\(UInt16(bigEndian: address.sin_port))")
    }

    private func environment(of url: String) -> [String: String] {
        ["PROGRESS_LEDGER_URL": url, "PROGRESS_LEDGER_JOB": "019a0000-0000-7000-8000-000000000001"]
    }

    @Test("with --best-effort, a server that never responds delays the command by about ten seconds")
    func muteServer() async throws {
        try await withMuteServer { url in
            let start = ContinuousClock.now
            let run = try await CommandRun.run(
                ServerProcess.binary,
                ["report", "exec", "--task", "t", "--best-effort", "--", "/bin/sh", "-c", "echo ran; exit 3"],
                environment: environment(of: url))
            #expect(run.status == 3 && run.output == "ran\n", "\(run)")
            #expect(start.duration(to: .now) < .seconds(25))
        }
    }

    @Test("after a signal during the start the command does not run", arguments: ["", "--best-effort"])
    func signalDuringStart(option: String) async throws {
        try await withMuteServer { url in
            let script = """
                "$0" report exec --task t \(option) -- echo ran & command=$!
                sleep 1; kill -TERM $command; wait $command; echo "exit code $?"
                """
            let run = try await CommandRun.run(
                "/bin/sh", ["-c", script, ServerProcess.binary], environment: environment(of: url))
            #expect(run.output == "exit code 143\n", "\(run)")
        }
    }

    @Test("a command within an execution starts executions of its own for other tasks")
    func nested() async throws {
        try await withServer { url, _ in
            let (environment, job) = try await newJob(at: url)
            let script = """
                for code in 1 2 0; do
                    "$0" report exec --task inner -- sh -c '"$0" report done 10 --report 1; exit '$code "$0"
                done
                """
            let run = try await CommandRun.ledger(
                "report", "exec", "--task", "outer", "--", "/bin/sh", "-c", script, ServerProcess.binary,
                environment: environment)
            #expect(run.status == 0, "\(run.errors)")
            let client = try LedgerClient(url: url)
            try await eventually(equals: [.failed, .failed, .succeeded] as [ExecutionOutcome?]) {
                try await client.tasks(of: job, TaskSearch()).tasks.first { $0.name == "inner" }?.executions
                    .map(\.outcome)
            }
            #expect(try await client.job(job).snapshot.indicators.first?.counted.done == 10)
        }
    }

    @Test("arguments and variables reach the command byte for byte")
    func bytes() async throws {
        try await withServer { url, _ in
            let (environment, _) = try await newJob(at: url)
            let script = """
                export VALUE="$(printf '\\376')"
                exec "$0" report exec --task t -- sh -c 'printf %s "$1$VALUE" | od -An -tx1' sh "$(printf '\\377')"
                """
            let run = try await CommandRun.run(
                "/bin/sh", ["-c", script, ServerProcess.binary], environment: environment)
            #expect(run.status == 0 && run.output.filter { $0 != " " } == "fffe\n", "\(run)")
        }
    }
}
