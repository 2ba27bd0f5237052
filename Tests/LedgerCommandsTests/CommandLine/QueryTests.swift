import Foundation
import Ledger
import LedgerTestSupport
import LedgerWire
import ProgressLedgerClient
import Testing

@testable import LedgerCommands

private let unusualName = "a\u{1B}[31mred\u{202E}\n<b>'; drop table job; -- 👩‍👩‍👧 עברית e\u{301}"
private let escapedName = "a\\u{1B}[31mred\\u{202E}\\u{A}<b>'; drop table job; -- 👩‍👩‍👧 עברית e\u{301}"

@Suite("Query and report commands", .timeLimit(.minutes(10)))
struct QueryTests {
    @Test("the demonstration ends with the right numbers and explains them")
    func demonstration() async throws {
        try await withServer { url, _ in
            let run = try await CommandRun.ledger("demo", "--server", url, "--speed", "0")
            #expect(run.status == 0, "\(run.errors)")
            let end = try #require(
                run.output.range(of: "\nfinalize: 1/1\nstep1: 4/4\nstep2: 4/4\n\nBehind these numbers: "))
            #expect(run.output[end.upperBound...].contains("9 superseded, 1 duplicate"))
            #expect(run.output.contains("  finalize: 0/1  step1: 2/4  step2: 0/4\n"))
            #expect(run.output.contains("curl \(url)/v1/jobs/"))
            let json = try await CommandRun.ledger("demo", "--server", url, "--speed", "0", "--json")
            let job = try JobView(try JSONReader.read(Array(json.output.utf8)))
            let tasks = try await CommandRun.ledger("tasks", job.id.description, "--server", url)
            #expect(tasks.status == 0, "\(tasks.errors)")
            let why = try await CommandRun.ledger("explain", job.id.description, "step2", "--server", url)
            #expect(why.lines.last == "received 6/4 = counted 4/4 + superseded 2/0 + discarded 0/0", "\(why.output)")
            let nothing = try await CommandRun.ledger("explain", job.id.description, "step3", "--server", url)
            #expect(nothing.status == ExitStatus.notFound.rawValue)
            #expect(tasks.lines.count == 1 + 13, "\(tasks.output)")
            #expect(
                tasks.lines.count { $0.contains("superseded") } == Int(job.snapshot.tasks.supersededExecutions),
                "\(tasks.output)")
            #expect(SnapshotText.lines(job.snapshot.indicators) == ["finalize: 1/1", "step1: 4/4", "step2: 4/4"])
            #expect(job.snapshot.tasks.executions == 13)
            #expect(json.output.split(separator: "\n", omittingEmptySubsequences: false).count == 2)
        }
    }

    @Test("a user without privileges can create a job, report to it and read it")
    func unprivilegedUsers() async throws {
        try await withServer { url, _ in
            let created = try await CommandRun.unprivilegedLedger("report", "job", "create", "n", "--server", url)
            #expect(created.status == 0, "\(created.errors)")
            let job = try #require(created.lines.first)
            let reported = try await CommandRun.unprivilegedLedger(
                "report", "add", "3", "--task", "t", "--attempt", "1", "--job", job, "--server", url)
            #expect(reported.status == 0, "\(reported.errors)")
            let jobs = try await CommandRun.unprivilegedLedger("jobs", "--server", url)
            #expect(jobs.status == 0, "\(jobs.errors)")
            #expect(jobs.output.contains(job), "\(jobs.output)")
        }
    }

    @Test("a job reported by a shell script counts right with any names, and exit codes inform it")
    func scripts() async throws {
        try await withServer { url, _ in
            let server = ["PROGRESS_LEDGER_URL": url]
            let created = try await CommandRun.ledger(
                "report", "job", "create", unusualName, "--key", "k", "--tag", "zone=a=b", environment: server)
            let job = try #require(created.lines.first)
            let again = try await CommandRun.ledger(
                "report", "job", "create", unusualName, "--key", "k", "--tag", "zone=a=b", environment: server)
            #expect(again.output == created.output)
            let taken = try await CommandRun.ledger(
                "report", "job", "create", "other", "--key", "k", environment: server)
            #expect(taken.status == ExitStatus.refused.rawValue, "\(taken.errors)")

            var worker = server
            worker["PROGRESS_LEDGER_JOB"] = job
            worker["PROGRESS_LEDGER_TASK"] = "t"
            let first = try await CommandRun.ledger("report", "start", environment: worker)
            let second = try await CommandRun.ledger("report", "start", "--json", environment: worker)
            #expect(second.output.contains(#""attempt":2"#))
            worker["PROGRESS_LEDGER_EXECUTION"] = first.lines.first
            let zombie = try await CommandRun.ledger("report", "start", environment: worker)
            #expect(zombie.status == ExitStatus.superseded.rawValue)
            #expect(zombie.errors.contains("is superseded by attempt 2"))
            #expect(try await CommandRun.ledger("report", "done", "1", environment: worker).status == 0)
            let waited = try await CommandRun.ledger("report", "done", "1", "--wait", environment: worker)
            #expect(waited.status == ExitStatus.superseded.rawValue)

            worker["PROGRESS_LEDGER_EXECUTION"] = "third"
            for arguments in [
                ["start", "--attempt", "3"], ["add", "10", "--label", unusualName, "--report", "1"],
                ["add", "10", "--label", unusualName, "--report", "1"], ["done", "9", "--label", unusualName],
                ["done", "0"], ["finish", "succeeded"], ["job", "finish", "completed"],
            ] {
                let run = try await CommandRun.run(ServerProcess.binary, ["report"] + arguments, environment: worker)
                #expect(run.status == 0, "\(arguments): \(run.errors)")
            }
            try await checkReportedJob(job, worker)
        }
    }

    @Test("a start in a canceled job exits with 11 and records nothing, unless --reopen is given")
    func canceledJob() async throws {
        try await withServer { url, _ in
            let client = try LedgerClient(url: url)
            let job = try await client.createJob(JobDescription(name: "n")).id
            _ = try await client.append([EventDraft(.jobFinished(.canceled))], to: job)
            let worker = [
                "PROGRESS_LEDGER_URL": url, "PROGRESS_LEDGER_JOB": job.description, "PROGRESS_LEDGER_TASK": "t",
            ]
            let refused = try await CommandRun.ledger("report", "start", environment: worker)
            #expect(refused.status == ExitStatus.jobCanceled.rawValue && refused.output.isEmpty)
            #expect(refused.errors.contains("Nothing was recorded, because the job is canceled"), "\(refused.errors)")
            #expect(try await client.job(job).ledgerSequence == 2)
            #expect(try await CommandRun.ledger("report", "start", "--reopen", environment: worker).status == 0)
            #expect(try await client.job(job).snapshot.state == .running)
        }
    }

    @Test("a contradicting report exits with 2, and a label that is not UTF-8 is not recorded")
    func contradictions() async throws {
        try await withServer { url, _ in
            let server = ["PROGRESS_LEDGER_URL": url]
            let created = try await CommandRun.ledger("report", "job", "create", "n", environment: server)
            let worker = server.merging([
                "PROGRESS_LEDGER_JOB": try #require(created.lines.first), "PROGRESS_LEDGER_TASK": "t",
                "PROGRESS_LEDGER_EXECUTION": "e",
            ]) { $1 }
            let first = try await CommandRun.ledger("report", "done", "1", "--report", "1", environment: worker)
            #expect(first.status == 0, "\(first.errors)")
            let other = try await CommandRun.ledger(
                "report", "done", "2", "--report", "1", "--wait", environment: worker)
            #expect(other.status == ExitStatus.refused.rawValue)
            #expect(other.errors.contains("Recorded as event 3, but not counted"), "\(other.errors)")
            let strange = try await CommandRun.run(
                "/bin/bash", ["-c", #""$0" report done 3 --label $'\xff\xfe'"#, ServerProcess.binary],
                environment: worker)
            #expect(strange.status == ExitStatus.usage.rawValue)
            #expect(strange.errors.contains("is not UTF-8"), "\(strange.errors)")
            let history = try await CommandRun.ledger("events", "--all", "--json", environment: worker)
            #expect(history.lines.count == 3)
        }
    }

    private func checkReportedJob(_ job: String, _ environment: [String: String]) async throws {
        let history = try await CommandRun.ledger("events", "--all", "--json", environment: environment)
        let last = String(history.lines.count)
        #expect(last == "13")
        for by in [[job], ["--key", "k"], []] {
            let shown = try await CommandRun.run(
                ServerProcess.binary, ["show", "--min-sequence", last] + by, environment: environment)
            #expect(shown.output == "(default): 0/0\n\(escapedName): 9/10\n", "\(shown.errors)")
        }
        let list = try await CommandRun.ledger("jobs", "--tag", "zone=a=b", environment: environment)
        #expect(list.lines.count == 2)
        #expect(list.lines.last?.hasSuffix("  \(escapedName)") == true)
        #expect(list.lines.last?.contains("  completed  ") == true)
        let json = try await CommandRun.ledger("jobs", "--key", "k", "--json", environment: environment)
        let page = try JSONReader.read(Array(json.output.utf8))
        #expect(page["jobs"]?.elements?.first?["name"]?.text.map { Name($0) } == Name(unusualName))
        let events = try await CommandRun.ledger("events", job, "--verdict", "duplicate", environment: environment)
        #expect(events.lines.count == 2)
        #expect(events.lines.last?.hasSuffix("duplicate of 8") == true, "\(events.output)")
        let paged = try await CommandRun.ledger(
            "events", job, "--limit", "2", "--order", "desc", environment: environment)
        #expect(paged.errors == "There are more: --after 12\n")
    }

    @Test("missing jobs, unreachable servers and invalid arguments have their own exit codes")
    func failuresHaveCodes() async throws {
        try await withServer { url, _ in
            let none = "00000000-0000-7000-8000-000000000000"
            for arguments in [
                ["show", none], ["events", none], ["events", none, "--all"], ["show", "--key", "none"],
                ["report", "start", "--job", none, "--task", "t"],
                ["report", "job", "finish", "failed", "--job", none],
            ] {
                let run = try await CommandRun.run(ServerProcess.binary, arguments + ["--server", url])
                #expect(run.status == ExitStatus.notFound.rawValue, "\(arguments): \(run.errors)")
                #expect(run.output.isEmpty)
            }
            let invalid = try await CommandRun.ledger("jobs", "--limit", "1001", "--server", url)
            #expect(invalid.status == ExitStatus.refused.rawValue)
            #expect(invalid.errors.contains("limit"))
            let negative = try await CommandRun.ledger(
                "report", "done", "--job", none, "--task", "t", "--server", url, "--", "-1")
            #expect(negative.status == ExitStatus.refused.rawValue, "\(negative.errors)")
            #expect(negative.errors.contains("/done"))
        }
        // No program listens on port 9 (discard) here.
        let away = try await CommandRun.ledger("jobs", "--server", "http://127.0.0.1:9")
        #expect(away.status == ExitStatus.unavailable.rawValue)
        #expect(away.errors.contains("http://127.0.0.1:9"))
        for arguments in [
            ["show"], ["retire", "x", "--folder", "/tmp"], ["jobs", "--server", "ftp://h"], ["jobs", "--state", "odd"],
            ["nothing"],
            ["report", "start"], ["report", "start", "--task", "t", "--attempt", "0"],
            ["report", "job", "create", "n", "--tag", "a=1", "--tag", "a=2"], ["demo", "--speed", "-1"],
        ] {
            let run = try await CommandRun.run(ServerProcess.binary, arguments)
            #expect(run.status == ExitStatus.usage.rawValue, "\(arguments): \(run.errors)")
            #expect(run.output.isEmpty && !run.errors.isEmpty)
        }
    }

    @Test("a closed pipe ends a command by SIGPIPE, as it ends other programs")
    func brokenPipesEnd() async throws {
        try await withServer { url, _ in
            let demo = try await CommandRun.ledger("demo", "--json", "--speed", "0", "--server", url)
            let job = try JobView(try JSONReader.read(Array(demo.output.utf8)))
            let script =
                #"set -o pipefail; "$0" events "$1" --all --json --server "$2" | true; echo "${PIPESTATUS[0]}""#
            let run = try await CommandRun.run(
                "/bin/bash", ["-c", script, ServerProcess.binary, job.id.description, url])
            #expect(["141", "0"].contains(run.lines.last), "\(run.output)")
            #expect(run.errors.isEmpty)
        }
    }
}
