import Foundation
import LedgerTestSupport
import Testing

@Suite("The scripts")
struct ScriptsTests {
    private static let names = ["check", "run", "setup", "test"]

    @Test("each explains itself, and refuses what it does not know", arguments: names)
    func helpIsThere(name: String) async throws {
        let script = "\(projectFolder)/Scripts/\(name)"
        let help = try await CommandRun.run(script, ["--help"], folder: "/")
        #expect(help.status == 0)
        #expect(help.output.contains("Scripts/\(name)"))
        #expect(help.lines.count >= 3)
        #expect(!help.output.contains("set -euo"))
        let refused = try await CommandRun.run(script, ["--nonsense"], folder: "/")
        #expect(refused.status == 1)
        #expect(refused.errors.contains("--nonsense"))
    }

    @Test("continuous integration calls the README's test command")
    func integrationTests() throws {
        let text = try String(contentsOfFile: "\(projectFolder)/.ci/run", encoding: .utf8)
        #expect(text.contains("/../Scripts/test"))
        #expect(FileManager.default.isExecutableFile(atPath: "\(projectFolder)/.ci/run"))
    }

    /// Runs the closure with a folder that is removed afterwards.
    private static func inFolder<R>(_ body: (String) async throws -> R) async throws -> R {
        let folder = FileManager.default.temporaryDirectory.appending(path: "scripts-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(at: folder) }
        return try await body(folder.path())
    }

    @Test("setup repeats what a broken Swift says instead of ending without a word")
    func brokenSwiftIsExplained() async throws {
        try await Self.inFolder { folder in
            let swift = "\(folder)/swift"
            try "#!/bin/sh\necho 'libmissing.so.1: cannot open shared object file' >&2\nexit 127\n"
                .write(toFile: swift, atomically: true, encoding: .utf8)
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: swift)
            let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
            let run = try await CommandRun.run(
                "\(projectFolder)/Scripts/setup", [], environment: ["PATH": "\(folder):\(path)"])
            #expect(run.status == 1)
            #expect(run.errors.contains("libmissing.so.1: cannot open shared object file"))
        }
    }

    @Test("audit-chain prints no error when nobody reads its output")
    func auditChainIsQuiet() async throws {
        let job = "0197a000-0000-7000-8000-000000000000"
        // The reader of the pipe has ended before anything is written to it.
        let run = try await CommandRun.run(
            "/bin/bash", ["-c", "exec 3> >(true); wait $!; Scripts/audit-chain \(job) >&3 <<<'no event'"],
            folder: projectFolder)
        #expect(run.errors.isEmpty)
    }

    @Test("embedding files again leaves the source that has not changed alone")
    func embeddingIsStable() async throws {
        try await Self.inFolder { folder in
            let embed = URL(filePath: ServerProcess.binary).deletingLastPathComponent().appending(path: "embed-files")
            let (output, input) = ("\(folder)/Output.swift", "\(folder)/1.sql")
            func written(_ text: String) async throws -> Date? {
                try text.write(toFile: input, atomically: true, encoding: .utf8)
                let run = try await CommandRun.run(embed.path(), [output, "Migration", input])
                try #require(run.status == 0, "\(run.errors)")
                #expect(try String(contentsOfFile: output, encoding: .utf8).contains(text))
                return try FileManager.default.attributesOfItem(atPath: output)[.modificationDate] as? Date
            }
            let first = try await written("select 1")
            let second = try await written("select 1")
            #expect(first == second)
            _ = try await written("select 2")
        }
    }
}
