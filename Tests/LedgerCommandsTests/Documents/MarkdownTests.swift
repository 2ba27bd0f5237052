import ArgumentParser
import Foundation
import Testing

@testable import LedgerCommands

/// Checks the Markdown files without running anything.
@Suite("The Markdown files")
struct MarkdownTests {
    private static let readmeBytesMax = 8_192

    @Test("the README is short")
    func readmeIsShort() throws {
        #expect(try Document(Document.readme).text.utf8.count <= Self.readmeBytesMax)
    }

    @Test("every file and every heading that is linked exists", arguments: Document.paths)
    func linksLead(path: String) throws {
        for link in try Document(path).links {
            let exists = FileManager.default.fileExists(atPath: "\(projectFolder)/\(link.path)")
            #expect(exists, "\(path) links to \(link.path), which does not exist")
            guard exists, let anchor = link.anchor else { continue }
            try #require(link.path.hasSuffix(".md"), "\(path): only headings of Markdown files are checked")
            #expect(try Document(link.path).anchors.contains(anchor), "\(link.path) has no heading #\(anchor)")
        }
    }

    @Test("every page can be reached from the README")
    func pagesAreReachable() throws {
        var reached: Set<String> = []
        var pending = [Document.readme]
        while let path = pending.popLast() {
            guard path.hasSuffix(".md"), reached.insert(path).inserted else { continue }
            pending += try Document(path).links.map(\.path)
        }
        #expect(Document.paths.count > 15)
        #expect(reached.isSuperset(of: Document.paths), "\(Set(Document.paths).subtracting(reached).sorted())")
    }

    @Test("every sample in Swift is part of an example that is compiled", arguments: Document.paths)
    func swiftSamplesCompile(path: String) throws {
        let folder = "\(projectFolder)/Sources/swift-examples"
        let examples = try FileManager.default.contentsOfDirectory(atPath: folder).map { name in
            Self.trimmed(try String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8).components(separatedBy: "\n"))
        }
        for sample in try Document(path).samples where sample.language == "swift" {
            // The import of a sample and its code are apart in a file.
            let paragraphs = sample.lines.split(separator: "").map { Self.trimmed(Array($0)) }
            #expect(
                examples.contains { example in paragraphs.allSatisfy { example.contains($0) } },
                "\(path): no file of Sources/swift-examples contains\n\(sample.lines.joined(separator: "\n"))")
        }
    }

    /// The lines without their indentation, each between line feeds.
    private static func trimmed(_ lines: [String]) -> String {
        "\n" + lines.map { $0.trimmingCharacters(in: .whitespaces) }.joined(separator: "\n") + "\n"
    }

    @Test("every command and every script that is named exists", arguments: Document.paths)
    func commandsExist(path: String) throws {
        let document = try Document(path)
        for line in document.commandLines {
            for match in line.matches(of: /progress-ledger((?: +[a-z][a-z-]*)+)/) {
                let unknown = Self.unknownCommand(match.1.split(separator: " ").map(String.init))
                #expect(unknown == nil, "\(path): \(line)")
            }
        }
        for match in document.text.matches(of: /\bScripts\/([a-z][a-z.-]*[a-z])/) {
            let exists = FileManager.default.fileExists(atPath: "\(projectFolder)/Scripts/\(match.1)")
            #expect(exists, "\(path) names \(match.0)")
        }
    }

    /// The first of these words that is no subcommand of those before it.
    private static func unknownCommand(_ words: [String]) -> String? {
        var command: any ParsableCommand.Type = ProgressLedgerCommand.self
        for word in words {
            let subcommands = command.configuration.subcommands
            // The others are arguments.
            guard !subcommands.isEmpty else { return nil }
            guard let next = subcommands.first(where: { $0.configuration.commandName == word }) else { return word }
            command = next
        }
        return nil
    }

    @Test("every performance decision has a number, a commit and tests that exist")
    func decisionsAreGuarded() throws {
        let sources = try FileManager.default.subpathsOfDirectory(atPath: "\(projectFolder)/Tests")
        let suites = Set(sources.map { URL(filePath: $0).deletingPathExtension().lastPathComponent })
        let rows = try Document(Document.decisions).prose.filter { $0.hasPrefix("| ") }
            .map { $0.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) } }
        let decisions = rows.filter { $0.count == 4 && $0[0] != "decision" }
        #expect(decisions.count > 30)
        for decision in decisions {
            let (measured, commit, tests) = (decision[1], decision[2], decision[3])
            #expect(measured.contains(/[0-9]/) || measured.contains("not measured"), "\(decision)")
            #expect(commit.wholeMatch(of: /[0-9a-f]{7}(?:, [0-9a-f]{7})*/) != nil, "\(decision)")
            let named = tests.matches(of: /`(\w+)`/).map { String($0.1) }
            #expect(!named.isEmpty || tests == "none", "\(decision)")
            for name in named { #expect(suites.contains(name), "\(decision)") }
        }
    }
}
