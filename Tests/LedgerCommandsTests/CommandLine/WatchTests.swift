import Foundation
import Ledger
import LedgerTestSupport
import LedgerWire
import PQ
import ProgressLedgerClient
import Testing

@testable import LedgerCommands

@Suite("watch", .timeLimit(.minutes(10)))
struct WatchTests {
    private static func progress(_ task: Name, _ attempt: Int32 = 1, total: Int64 = 0, done: Int64 = 0) -> EventDraft {
        EventDraft(
            .progress(
                ProgressReport(
                    reference: ExecutionReference(task: task, attempt: attempt), label: "tiles", total: total,
                    done: done)))
    }

    @Test(
        "watch ends with the job, and its exit code is the outcome",
        arguments: [(JobOutcome.completed, 0), (.failed, 10), (.canceled, 11)] as [(JobOutcome, Int32)])
    func endsWithTheJob(outcome: JobOutcome, code: Int32) async throws {
        try await withServer { url, _ in
            let client = try LedgerClient(url: url)
            let job = try await client.createJob(JobDescription(name: "n")).id
            let watching = Task { try await CommandRun.ledger("watch", job.description, "--server", url) }
            try await waitForWatcher(url)
            _ = try await client.append([Self.progress("t", total: 4, done: 3)], to: job)
            _ = try await client.append([EventDraft(.jobFinished(outcome))], to: job)
            let run = try await watching.value
            #expect(run.status == code, "\(run.errors)")
            #expect(run.lines.last?.contains(outcome.rawValue) == true, "\(run.output)")
            #expect(run.lines.last?.hasSuffix("tiles: 3/4") == true, "\(run.output)")
        }
    }

    /// Waits until the server has a watcher.
    private func waitForWatcher(_ url: String) async throws {
        try await eventually({ $0.contains("progress_ledger_http_watchers 1") }) {
            try await CommandRun.run("/usr/bin/curl", ["--silent", "\(url)/metrics"]).lines
        }
    }

    @Test("--json prints the server's snapshots; plain lines show the cause of a decrease")
    func printsSnapshots() async throws {
        try await withServer { url, _ in
            let client = try LedgerClient(url: url)
            let job = try await client.createJob(JobDescription(name: "n")).id
            _ = try await client.append(
                [Self.progress("tile-17", total: 50, done: 40)], to: job, awaitsVerdicts: true)
            let arguments = ["watch", job.description, "--server", url]
            let plain = Task { try await CommandRun.run(ServerProcess.binary, arguments) }
            try await waitForWatcher(url)
            let json = Task { try await CommandRun.run(ServerProcess.binary, arguments + ["--json"]) }
            try await eventually({ $0.contains("progress_ledger_http_watchers 2") }) {
                try await CommandRun.run("/usr/bin/curl", ["--silent", "\(url)/metrics"]).lines
            }
            _ = try await client.append(
                [Self.progress("tile-17", 2, total: 50, done: 1)], to: job, awaitsVerdicts: true)
            // The plain watcher requests the cause before it takes the next snapshot.
            _ = try await client.append([EventDraft(.jobFinished(.completed))], to: job)
            let explained = try await plain.value
            #expect(explained.output.contains("  (tiles -40: tile-17 restarted, attempt 2)\n"), "\(explained.output)")
            let lines = try await json.value.lines
            let jobs = try lines.map { try JobView(try JSONReader.read(Array($0.utf8))) }
            #expect(jobs.first?.snapshot.indicators.first?.counted.done == 40)
            #expect(jobs.last?.snapshot.state == .completed)
        }
    }

    @Test("--until ends once an indicator reaches its goal, or with 13 if it never does")
    func waitsForGoals() async throws {
        try await withServer { url, _ in
            let client = try LedgerClient(url: url)
            let job = try await client.createJob(JobDescription(name: "n")).id
            _ = try await client.append([Self.progress("t", total: 10, done: 9)], to: job, awaitsVerdicts: true)
            let reached = try await CommandRun.ledger(
                "watch", job.description, "--server", url, "--until", "tiles>=90", "--until", ">=90")
            #expect(reached.status == 0)
            _ = try await client.append([EventDraft(.jobFinished(.completed))], to: job)
            let missed = try await CommandRun.ledger(
                "watch", job.description, "--server", url, "--until", "tiles>=100%")
            #expect(missed.status == 13)
            #expect(missed.errors.isEmpty, "\(missed.errors)")
            let misspelt = try await CommandRun.ledger(
                "watch", job.description, "--server", url, "--until", "tlies>=90")
            #expect(misspelt.status == 13)
            #expect(misspelt.errors.contains("no indicator tlies yet"), "\(misspelt.errors)")
            let wrong = try await CommandRun.ledger("watch", job.description, "--server", url, "--until", "tiles")
            #expect(wrong.status == 64)
            let unknown = try await CommandRun.ledger(
                "watch", "01900000-0000-7000-8000-000000000000", "--server", url)
            #expect(unknown.status == 3)
        }
    }

    @Test("--stalled-timeout ends a watch if no unit is done, even if events arrive")
    func noticesStalls() async throws {
        try await withServer { url, _ in
            let client = try LedgerClient(url: url)
            let job = try await client.createJob(JobDescription(name: "n")).id
            let watching = Task {
                try await CommandRun.ledger(
                    "watch", job.description, "--server", url, "--stalled-timeout", "2")
            }
            try await waitForWatcher(url)
            for _ in 1...3 { _ = try await client.append([Self.progress("t", total: 1)], to: job) }
            #expect(try await watching.value.status == 12)
        }
    }

    @Test("--until-idle ends a watch once all tasks have ended, although the job has not")
    func endsWhenIdle() async throws {
        try await withServer { url, _ in
            let client = try LedgerClient(url: url)
            let job = try await client.createJob(JobDescription(name: "n")).id
            let reference = ExecutionReference(task: "t", execution: "e")
            _ = try await client.append([EventDraft(.executionStarted(reference))], to: job)
            let watching = Task {
                try await CommandRun.ledger("watch", job.description, "--server", url, "--until-idle", "2")
            }
            try await waitForWatcher(url)
            _ = try await client.append([EventDraft(.executionFinished(reference, .succeeded))], to: job)
            #expect(try await watching.value.status == 0)
            let shown = try await CommandRun.ledger("show", job.description, "--json", "--server", url)
            let snapshot = try JSONReader.read(Array(shown.output.utf8))
            #expect(snapshot["state"]?.text == "running" && snapshot["idle_since"]?.text != nil, "\(shown.output)")
        }
    }

    @Test("a stopping server ends its streams at once, and watchers reconnect to the next one")
    func reconnects() async throws {
        try await withLedgerDatabase { target in
            let database = target.description
            let first = try ServerProcess(["serve", "--port", "0", "--database", database])
            let url = try await first.url()
            let port = try #require(url.split(separator: ":").last.map(String.init))
            let client = try LedgerClient(url: url)
            let job = try await client.createJob(JobDescription(name: "n")).id
            let watching = Task { try await CommandRun.ledger("watch", job.description, "--server", url) }
            try await waitForWatcher(url)
            first.send(SIGTERM)
            // By default, running requests have 30 seconds.
            try await first.wait(within: .seconds(25))
            #expect(first.exitCode == 0)
            let second = try ServerProcess(["serve", "--port", port, "--database", database])
            _ = try await second.url()
            try await waitForWatcher(url)
            _ = try await LedgerClient(url: url).append([EventDraft(.jobFinished(.completed))], to: job)
            let run = try await watching.value
            #expect(run.status == 0)
            #expect(run.errors.contains("The connection is lost") && run.errors.contains("The connection is back"))
            second.send(SIGTERM)
            try await second.wait()
        }
    }
}
