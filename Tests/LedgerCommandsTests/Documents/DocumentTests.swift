import Foundation
import LedgerTestSupport
import Testing

@testable import LedgerCommands

/// Runs the examples of the documents, and compares their tables with the program.
@Suite("The examples and tables of the documents", .timeLimit(.minutes(10)))
struct DocumentTests {
    /// A command and the lines that it must print; `…` in them matches any text.
    struct Example {
        var command: String
        var expected: [String] = []
    }

    /// The examples of all `console` samples: `$ ` starts a command, `> ` continues it.
    static func examples(_ document: Document) -> [Example] {
        var examples: [Example] = []
        for line in document.samples.filter({ $0.language == "console" }).flatMap(\.lines) {
            if line.hasPrefix("$ ") {
                examples.append(Example(command: String(line.dropFirst(2))))
            } else if line.hasPrefix("> ") {
                examples[examples.count - 1].command += "\n" + line.dropFirst(2)
            } else {
                examples[examples.count - 1].expected.append(line)
            }
        }
        return examples
    }

    @Test("only these documents have examples")
    func examplesAreKnown() throws {
        let documents = try Document.paths.filter { !Self.examples(try Document($0)).isEmpty }
        #expect(Set(documents) == [Document.readme, Document.walkthrough, Document.audit, Document.reports])
    }

    @Test(
        "every example prints its output",
        arguments: [Document.readme, Document.walkthrough, Document.audit, Document.reports])
    func examplesWork(path: String) async throws {
        let examples = Self.examples(try Document(path))
        #expect(examples.count > 5)
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

    @Test("the first example in Python finishes all that it adds")
    func pythonExampleWorks() async throws {
        let samples = try Document(Document.walkthrough).samples
        let example = try #require(samples.first { $0.language == "python" }).lines.joined(separator: "\n")
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

    @Test("every setting and every exit code is in its table, with the words of --help")
    func tablesAreComplete() throws {
        let text = try Document(Document.configuration).text
        for setting in Setting.allCases {
            #expect(text.contains("| `\(setting.variable)` |"), "\(setting.variable)")
        }
        for status in ExitStatus.allCases {
            #expect(text.contains("| \(status.rawValue) | \(status.meaning) |"), "\(status.meaning)")
        }
    }

    @Test("every metric of a server is explained, and every explained one exists")
    func metricsAreExplained() async throws {
        let explained = try Document(Document.metrics).prose
            .compactMap { $0.prefixMatch(of: /\| `(progress_ledger_[a-z_]+)` \|/).map { String($0.1) } }
        try await withServer { url, _ in
            // The worker is listed shortly after the server is ready.
            let text = try await eventually({ $0.output.contains("progress_ledger_worker_up{") }) {
                try await CommandRun.run("/usr/bin/curl", ["--silent", "\(url)/metrics"])
            }
            let published = text.lines.filter { $0.hasPrefix("# TYPE ") }.map { String($0.split(separator: " ")[2]) }
            #expect(published.count > 10)
            #expect(Set(published).subtracting(explained).isEmpty)
            #expect(Set(explained).subtracting(published).isEmpty)
            #expect(Set(explained).count == explained.count)
        }
    }
}
