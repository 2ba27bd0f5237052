import Foundation
import Ledger
import LedgerTestSupport
import ProgressLedgerClient
import Testing

@testable import LedgerCommands

@Suite("Jobs on the command line", .timeLimit(.minutes(10)))
struct JobSelectorTests {
    /// The job that a query has found by this text; nil if it fails.
    private func found(_ text: String, _ url: String) async throws -> JobID? {
        let run = try await CommandRun.ledger("events", text, "--all", "--json", "--server", url)
        guard run.status == 0 else { return nil }
        // The name of each job is unique here, and is in its first event.
        let list = try await LedgerClient(url: url).jobs(JobSearch()).jobs
        return list.first { run.output.contains("\"name\":\"\($0.description.name)\"") }?.id
    }

    @Test("a query takes an id, the beginning of an id, a key, or 'last'")
    func queries() async throws {
        try await withServer { url, _ in
            let client = try LedgerClient(url: url)
            #expect(
                try await CommandRun.ledger("show", "last", "--server", url).errors.contains("There is no job yet."))
            let first = try await client.createJob(JobDescription(name: "first", key: "nightly/1")).id
            #expect(try await found(String(first.description.prefix(4)), url) == first)
            let second = try await client.createJob(JobDescription(name: "second", key: "cafe")).id
            let length = JobIDPrefix.shownLength(of: [first, second])
            for job in [first, second] {
                for text in [
                    job.description, job.description.uppercased(), String(job.description.prefix(length)),
                    String(job.description.filter { $0 != "-" }.prefix(length)), String(job.description.dropLast()),
                ] {
                    #expect(try await found(text, url) == job, "\(text)")
                }
            }
            #expect(try await found("nightly/1", url) == first)
            // This key could be the beginning of an id, but no id begins so.
            #expect(try await found("cafe", url) == second)
            #expect(try await found("last", url) == second)
            for command in ["show", "tasks", "failed", "watch", "diff", "verify", "export", "explain", "history"] {
                let run = try await CommandRun.ledger(command, "none", "--server", url)
                #expect(run.status == ExitStatus.notFound.rawValue, "\(command): \(run)")
                #expect(run.errors.contains("No job has the key 'none', or an id that begins so."), "\(run)")
            }
        }
    }

    @Test("a text with several meanings is refused with the candidates, at most ten")
    func ambiguity() async throws {
        try await withServer { url, _ in
            let client = try LedgerClient(url: url)
            let first = try await client.createJob(JobDescription(name: "one")).id
            let text = String(first.description.prefix(20))
            let second = try await client.createJob(JobDescription(name: "two\u{1B}[2J", key: Name(text))).id
            let both = try await CommandRun.ledger("show", text, "--server", url)
            #expect(both.status == ExitStatus.usage.rawValue && both.output.isEmpty, "\(both)")
            #expect(both.errors.contains("'\(text)' means several jobs."), "\(both.errors)")
            #expect(
                both.errors.contains("\(first)  running  ") && both.errors.contains("key \(text)"), "\(both.errors)")
            #expect(both.errors.contains("\(second)  running  ") && !both.errors.contains("\u{1B}"), "\(both.errors)")
            // The exact key finds its job nevertheless.
            #expect(try await CommandRun.ledger("show", "--key", text, "--server", url).status == 0)
            for number in 0..<10 { _ = try await client.createJob(JobDescription(name: Name("job \(number)"))) }
            let many = try await CommandRun.ledger("show", String(first.description.prefix(4)), "--server", url)
            #expect(many.errors.hasSuffix("\n… and more\n"), "\(many.errors)")
            #expect(many.errors.split(separator: "\n").count == 12, "\(many.errors)")
        }
    }

    @Test("a command that changes a job takes only a whole id or an exact key")
    func writes() async throws {
        try await withServer { url, _ in
            let client = try LedgerClient(url: url)
            let job = try await client.createJob(JobDescription(name: "j", key: "k")).id
            for text in ["last", String(job.description.prefix(20)), "K"] {
                for command in [
                    ["report", "done", "1", "--task", "t", "--attempt", "1", "--job", text],
                    ["report", "start", "--task", "t", "--job", text],
                    ["report", "job", "finish", "completed", "--job", text],
                    ["report", "exec", "--task", "t", "--job", text, "--", "/bin/true"], ["replay", text],
                ] {
                    let server = command.contains("--") ? [] : ["--server", url]
                    let run = try await CommandRun.run(
                        ServerProcess.binary, command + server, environment: ["PROGRESS_LEDGER_URL": url])
                    #expect(run.status == ExitStatus.notFound.rawValue, "\(command): \(run)")
                    #expect(run.errors.contains("takes its whole id or its exact key, neither"), "\(run.errors)")
                }
            }
            #expect(try await client.job(job).ledgerSequence == 1)
            let done = try await CommandRun.ledger(
                "report", "done", "1", "--task", "t", "--attempt", "1", "--wait", "--server", url,
                environment: ["PROGRESS_LEDGER_JOB": "k"])
            #expect(done.status == 0, "\(done.errors)")
            #expect(try await CommandRun.ledger("replay", "k", "--server", url).status == 0)
            #expect(try await client.job(job).snapshot.indicators.first?.counted.done == 1)
        }
    }

    @Test("explain and history take a beginning of an id, a key, and --key")
    func indicators() async throws {
        try await withServer { url, _ in
            let client = try LedgerClient(url: url)
            let job = try await client.createJob(JobDescription(name: "j", key: "nightly")).id
            let report = ProgressReport(
                reference: ExecutionReference(task: "t", attempt: 1), label: "a b", total: 2, done: 1)
            _ = try await client.append([EventDraft(.progress(report))], to: job, awaitsVerdicts: true)
            for command in ["explain", "history"] {
                let expected = try await CommandRun.ledger(command, job.description, "a b", "--server", url)
                #expect(expected.status == 0 && expected.output.contains("1"), "\(expected)")
                for words in [[String(job.description.prefix(9)), "a b"], ["nightly", "a b"], ["last", "a b"]] {
                    let run = try await CommandRun.run(ServerProcess.binary, [command] + words + ["--server", url])
                    #expect(run.output == expected.output, "\(words): \(run)")
                }
            }
        }
    }
}
