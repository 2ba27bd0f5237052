import Foundation
import Ledger
import LedgerTestSupport
import LedgerWire
import ProgressLedgerClient
import Testing

@testable import LedgerCommands

@Suite("Output on terminals and for scripts", .timeLimit(.minutes(10)))
struct TerminalTests {
    /// Creates an ended job of many indicators, with a name that controls terminals.
    private func makeJob(_ url: String, labels: Int = 40) async throws -> JobID {
        let client = try LedgerClient(url: url)
        let job = try await client.createJob(JobDescription(name: "\u{9B}31m\u{202E}name", key: "k")).id
        let reports = (0..<labels).map { number in
            EventDraft(
                .progress(
                    ProgressReport(
                        reference: ExecutionReference(task: "t", attempt: 1), label: Name("label \(number)"),
                        total: 10, done: Int64(number % 10))))
        }
        _ = try await client.append(reports + [EventDraft(.jobFinished(.completed))], to: job, awaitsVerdicts: true)
        return job
    }

    /// Runs `progress-ledger` on a terminal of its own and returns its output.
    private func onTerminal(
        _ arguments: String, columns: Int, rows: Int, environment: [String: String]
    ) async throws -> String {
        let command = "stty cols \(columns) rows \(rows); '\(ServerProcess.binary)' \(arguments)"
        let run = try await CommandRun.run(
            "/usr/bin/script", ["--quiet", "--return", "--command", command, "/dev/null"], environment: environment)
        #expect(run.status == 0, "\(run.output)")
        return run.output
    }

    @Test("a watched job is drawn in frames that fit the terminal", arguments: [3, 4, 6, 12])
    func framesFit(rows: Int) async throws {
        try await withServer { url, _ in
            let job = try await makeJob(url)
            let painted = try await onTerminal(
                "watch \(job) --server \(url)", columns: 60, rows: rows,
                environment: ["TERM": "xterm-256color", "LANG": "C.UTF-8"])
            #expect(painted.contains("\u{1B}[2K"))
            let frames = painted.split(separator: "\u{1B}[?2026h")
            #expect(!frames.isEmpty)
            for frame in frames { #expect(frame.count { $0 == "\r\n" } <= rows - 1, "\(frame)") }
            for back in painted.matches(of: /\u{1B}\[(\d+)F/) { #expect(Int(back.1)! <= rows - 1) }
        }
    }

    @Test("a terminal without escape sequences gets plain lines that fit its width", arguments: ["dumb", ""])
    func dumbTerminals(type: String) async throws {
        try await withServer { url, _ in
            let job = try await makeJob(url)
            for command in ["watch \(job)", "demo --speed 0"] {
                let printed = try await onTerminal(
                    "\(command) --server \(url)", columns: 60, rows: 24, environment: ["TERM": type, "LANG": "C.UTF-8"])
                #expect(!printed.contains("\u{1B}"), "\(printed)")
                guard command.hasPrefix("watch") else { continue }
                for line in printed.split(separator: "\r\n") { #expect(TerminalText.cells(String(line)) <= 60) }
            }
        }
    }

    /// Creates a job with failed and retried tasks and long texts.
    private func makeLongJob(_ client: LedgerClient) async throws -> JobID {
        let job = try await client.createJob(
            JobDescription(name: "landsat-mosaic north of the alps, 2026-11", key: "é")
        ).id
        let link: Name = "https://ci.example.com/runs/17/jobs/tile-17/logs?from=2026-11-30T01:00:00Z&lines=100000"
        var drafts: [EventDraft] = []
        for (task, attempts) in [("download-and-unpack-tile-17", 1...2), ("mosaic", 1...1)]
            as [(Name, ClosedRange<Int32>)]
        {
            for attempt in attempts {
                let reference = ExecutionReference(
                    task: task, execution: Name("execution-\(attempt)-of-é"), attempt: attempt)
                drafts.append(EventDraft(.executionStarted(reference), link: link))
                drafts.append(
                    EventDraft(
                        .progress(
                            ProgressReport(
                                reference: reference, report: 1, label: "scenes", total: 12_345, done: 1_234, unit: "m²"
                            )),
                        message: "reading scene 4 of 17 from the archive, which is slow today"))
            }
        }
        drafts.append(
            EventDraft(
                .executionFinished(ExecutionReference(task: "mosaic", attempt: 1), .failed),
                message: "disk full on node-17, as ever since the upgrade", link: link))
        _ = try await client.append(drafts, to: job, awaitsVerdicts: true)
        return job
    }

    @Test("lists fit the window, whatever its width, its colours and its characters", arguments: [60, 80, 140])
    func listsFit(width: Int) async throws {
        try await withServer { url, _ in
            let job = try await makeLongJob(try LedgerClient(url: url))
            for command in ["jobs", "events", "tasks", "failed", "explain", "history"] {
                let words = ["jobs": "", "explain": "\(job) scenes", "history": "\(job) scenes"][command] ?? "\(job)"
                for environment in [
                    ["TERM": "xterm-256color", "LANG": "C.UTF-8"],
                    ["TERM": "xterm-256color", "LANG": "C.UTF-8", "NO_COLOR": "1"], ["TERM": "dumb", "LANG": "C"],
                ] {
                    let printed = try await onTerminal(
                        "\(command) \(words) --server \(url) 2>/dev/null", columns: width, rows: 24,
                        environment: environment)
                    #expect(
                        printed.contains("\u{1B}[31m")
                            == (environment["NO_COLOR"] == nil && environment["LANG"] != "C"
                                && ["jobs", "tasks"].contains(command)),
                        "\(printed)")
                    if environment["LANG"] == "C" {
                        #expect(printed.unicodeScalars.allSatisfy { $0.isASCII }, "\(printed)")
                    }
                    let lines = printed.replacing(/\u{1B}\[[0-9]+m/, with: "").split(separator: "\r\n")
                    #expect(lines.count > 1, "\(printed)")
                    for line in lines where !line.hasPrefix("  https://") {
                        #expect(TerminalText.cells(String(line)) <= width, "\(line)")
                    }
                    #expect(
                        printed.contains(
                            "https://ci.example.com/runs/17/jobs/tile-17/logs?from=2026-11-30T01:00:00Z&lines=100000")
                            == ["tasks", "failed"].contains(command))
                }
            }
        }
    }

    @Test("a search lists the jobs with the text in their names, or as their key")
    func search() async throws {
        try await withServer { url, _ in
            let client = try LedgerClient(url: url)
            for name: Name in ["Mosaic north", "import", "mosaic south"] {
                _ = try await client.createJob(JobDescription(name: name, key: name == "import" ? "k" : nil))
            }
            let run = try await CommandRun.ledger("jobs", "--search", "MOSAIC", "--server", url)
            #expect(run.lines.dropFirst().map { String($0.suffix(12)) } == ["mosaic south", "Mosaic north"], "\(run)")
            #expect(
                try await CommandRun.ledger("jobs", "--search", "k", "--server", url).lines.last?.hasSuffix("  import")
                    == true)
        }
    }

    @Test("JSON documents contain nothing that controls a terminal, and the same values")
    func documentsAreHarmless() async throws {
        try await withServer { url, _ in
            let job = try await makeJob(url, labels: 1).description
            for arguments in [
                ["show", job], ["jobs"], ["events", job], ["events", job, "--all"], ["watch", job],
            ] {
                let run = try await CommandRun.run(
                    ServerProcess.binary, arguments + ["--json", "--server", url])
                #expect(run.status == 0, "\(run.errors)")
                #expect(run.output.contains(#"\u009b31m\u202ename"#), "\(run.output)")
                #expect(!run.output.unicodeScalars.contains { $0 == "\u{9B}" || $0 == "\u{202E}" })
                for line in run.lines { _ = try JSONReader.read(Array(line.utf8)) }
            }
        }
    }

    @Test("explain and history accept a label alone with --key or PROGRESS_LEDGER_JOB")
    func indicatorsByKey() async throws {
        try await withServer { url, _ in
            let job = try await makeJob(url, labels: 3).description
            for command in ["explain", "history"] {
                let expected = try await CommandRun.ledger(command, job, "label 2", "--server", url)
                #expect(expected.status == 0 && expected.lines.count > 1, "\(expected.errors)")
                let byKey = try await CommandRun.ledger(command, "--key", "k", "label 2", "--server", url)
                #expect(byKey.output == expected.output, "\(byKey.errors)")
                let byEnvironment = try await CommandRun.ledger(
                    command, "label 2", "--server", url, environment: ["PROGRESS_LEDGER_JOB": job])
                #expect(byEnvironment.output == expected.output, "\(byEnvironment.errors)")
                let both = try await CommandRun.ledger(command, "--key", "k", job, "label 2", "--server", url)
                #expect(both.status == ExitStatus.usage.rawValue)
            }
        }
    }

    @Test("invalid input is reported with its remedy and the right exit code")
    func mistakesAreExplained() async throws {
        try await withServer { url, _ in
            let job = try await makeJob(url, labels: 1).description
            for (arguments, status, text) in [
                (
                    ["status", "--server", "\(url)/v1"], .usage,
                    "it ends with /v1, which the client adds itself"
                ),
                (["jobs", "--server", "\(url)/nowhere"], .failed, "Check the ledger's URL."),
                (["import", "/nosuch", "--server", url], .failed, "Cannot read /nosuch: no such file or directory."),
                (["show", job, "--at-sequence", "-1", "--server", url], .refused, "at_sequence"),
                (["show", job, "--min-sequence", "-1", "--server", url], .refused, "min_sequence"),
                (["events", job, "--limit", "-1", "--server", url], .refused, "limit"),
                (["jobs", "--timeout", "-1", "--server", url], .usage, "--timeout must be from 1 to 3600 seconds"),
            ] as [([String], LedgerCommands.ExitStatus, String)] {
                let run = try await CommandRun.run(ServerProcess.binary, arguments)
                #expect(run.status == status.rawValue, "\(arguments): \(run.errors)")
                #expect(run.errors.contains(text), "\(run.errors)")
                #expect(run.output.isEmpty)
            }
        }
    }
}
