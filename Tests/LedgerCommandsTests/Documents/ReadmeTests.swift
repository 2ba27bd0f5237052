import Foundation
import LedgerTestSupport
import Testing

@testable import LedgerCommands

@Suite("The README", .timeLimit(.minutes(30)))
struct ReadmeTests {
    /// A command of an example with its expected lines; `…` matches anything.
    struct Example {
        var command: String
        var expected: [String] = []
    }

    private static func readme() throws -> String {
        try String(contentsOfFile: "\(projectFolder)/README.md", encoding: .utf8)
    }

    /// The examples of all blocks marked `console`.
    ///
    /// `$ ` begins a command, `> ` continues it.
    static func examples(_ text: String) -> [Example] {
        var examples: [Example] = []
        var isInside = false
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("```") {
                isInside = line == "```console"
            } else if isInside, line.hasPrefix("$ ") {
                examples.append(Example(command: String(line.dropFirst(2))))
            } else if isInside, line.hasPrefix("> ") {
                examples[examples.count - 1].command += "\n" + line.dropFirst(2)
            } else if isInside {
                examples[examples.count - 1].expected.append(String(line))
            }
        }
        return examples
    }

    @Test("every console example prints its expected output")
    func examplesWork() async throws {
        let examples = Self.examples(try Self.readme())
        #expect(examples.count > 15)
        try await withServer { url, _ in
            let mark = "=== end of example ==="
            let script = examples.map { $0.command.replacing("http://127.0.0.1:8080", with: url) }
                .joined(separator: "\necho '\(mark)'\n")
            let path = URL(filePath: ServerProcess.binary).deletingLastPathComponent().path()
            let run = try await CommandRun.run(
                "/bin/bash", ["-c", "PATH=\(path):$PATH\n\(script)"], folder: projectFolder)
            #expect(run.errors.isEmpty, "\(run.errors)")
            let printed = run.output.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
                .split(separator: mark, omittingEmptySubsequences: false)
            try #require(printed.count == examples.count, "\(run.output)")
            for (example, lines) in zip(examples, printed) {
                let found = lines.filter { !$0.isEmpty }
                #expect(
                    Self.matches(found, example.expected),
                    "\(example.command)\nshould print\n\(example.expected.joined(separator: "\n"))\nand printed\n\(found.joined(separator: "\n"))"
                )
            }
        }
    }

    @Test("the first Python example finishes the units that it adds")
    func pythonExampleWorks() async throws {
        let blocks = try Self.readme().components(separatedBy: "```python\n").dropFirst()
        let example = try #require(blocks.first?.components(separatedBy: "```").first)
        try await withServer { url, _ in
            let program =
                example.replacing("http://localhost:8080", with: url) + """
                    for indicator in ledger.jobs.find(job.id).progress:
                        print(f"{indicator.label}: {indicator.done}/{indicator.total}")
                    """
            let run = try await CommandRun.run(
                "/usr/bin/env", ["python3", "-B", "-c", program],
                environment: ["PYTHONPATH": "\(projectFolder)/Sources/python-client/src"])
            #expect(run.status == 0, "\(run.errors)")
            #expect(run.lines == ["download: 10/10"])
        }
    }

    private static func matches(_ found: [String], _ expected: [String]) -> Bool {
        found.count == expected.count && zip(found, expected).allSatisfy { matches($0, $1[...]) }
    }

    private static func matches(_ found: String, _ pattern: Substring) -> Bool {
        var rest = found[...]
        let parts = pattern.split(separator: "…", omittingEmptySubsequences: false)
        for (index, part) in parts.enumerated() {
            if index == 0 {
                guard rest.hasPrefix(part) else { return false }
                rest = rest.dropFirst(part.count)
            } else if index == parts.count - 1 {
                return rest.hasSuffix(part)
            } else {
                guard let range = rest.firstRange(of: part) else { return false }
                rest = rest[range.upperBound...]
            }
        }
        return rest.isEmpty
    }

    @Test("the tables list every setting and every exit code, with the texts of --help")
    func tablesAreComplete() throws {
        let text = try Self.readme()
        for setting in Setting.allCases {
            #expect(text.contains("| `\(setting.variable)` |"), "\(setting.variable)")
        }
        for status in ExitStatus.allCases {
            #expect(text.contains("| \(status.rawValue) | \(status.meaning) |"), "\(status.meaning)")
        }
    }

    @Test("the explained metrics are exactly those of a server")
    func metricsAreExplained() async throws {
        // A row contains one full name; names that begin alike are shortened to their ends.
        let explained = try Self.readme().split(separator: "\n").filter { $0.hasPrefix("| `progress_ledger_") }
            .flatMap { row in row.split(separator: "|")[0].matches(of: /`([a-z_]+)`/).map { String($0.1) } }
        try await withServer { url, _ in
            var text = try await CommandRun.run("/usr/bin/curl", ["--silent", "\(url)/metrics"])
            // The worker is listed shortly after the server is ready.
            try await eventually {
                text = try await CommandRun.run("/usr/bin/curl", ["--silent", "\(url)/metrics"])
                return text.output.contains("progress_ledger_worker_up{")
            }
            let exported = text.lines.filter { $0.hasPrefix("# TYPE ") }.map { String($0.split(separator: " ")[2]) }
            #expect(exported.count > 10)
            for metric in exported { #expect(explained.contains { metric.hasSuffix($0) }, "\(metric)") }
            for metric in explained { #expect(exported.contains { $0.hasSuffix(metric) }, "\(metric)") }
        }
    }

    @Test("the files that it links to exist")
    func linkedFilesExist() throws {
        let links = try Self.readme().matches(of: /\]\(([^)]+)\)/).map { String($0.1) }
        #expect(links.count >= 3)
        for link in links where !link.hasPrefix("https://") {
            #expect(FileManager.default.fileExists(atPath: "\(projectFolder)/\(link)"), "\(link)")
        }
    }
}
