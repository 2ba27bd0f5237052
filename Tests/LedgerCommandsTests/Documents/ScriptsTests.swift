import Foundation
import LedgerTestSupport
import Testing

@Suite("The scripts")
struct ScriptsTests {
    private static let names = [
        "check", "dependencies", "release", "run", "setup", "test", "test-bare-machine", "test-compose",
        "test-kubernetes", "test-release",
    ]

    @Test("each script prints its help and refuses unknown options", arguments: names)
    func scriptsHaveHelp(name: String) async throws {
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

    /// Runs a shell script with the functions by which `Scripts/test` runs its parts.
    private static func runParts(_ script: String) async throws -> CommandRun {
        try await inFolder { folder in
            let head = """
                set -euo pipefail
                source '\(projectFolder)/Scripts/common.sh'
                logs='\(folder)'
                source '\(projectFolder)/Scripts/parts.sh'

                """
            return try await CommandRun.run("/bin/bash", ["-c", head + script])
        }
    }

    /// Runs the body with a temporary folder.
    private static func inFolder<R>(_ body: (String) async throws -> R) async throws -> R {
        let folder = FileManager.default.temporaryDirectory.appending(path: "scripts-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
        defer { TestFiles.remove(folder.path()) }
        return try await body(folder.path())
    }

    @Test("a part that does not end is ended, and its processes and unfinished tests are named")
    func hangingPart() async throws {
        let run = try await Self.runParts(
            """
            part_seconds=2
            hanging() {
                echo '◇ Test "ends" started.'
                echo '◇ Test "says \\"no\\"" started.'
                echo '✔ Test "ends" with 2 test cases passed after 1.0 seconds.'
                env sleep 1000
                echo 'never printed'
            }
            run_part first hanging
            run_part second echo '12 passed, 0 failed'
            end_of_parts
            """)
        #expect(run.status == 1)
        #expect(run.errors.contains("did not end within 2 seconds"))
        #expect(run.errors.contains("sleep 1000"))
        let unfinished = run.errors.split(separator: "Tests without an end:\n").last?.split(separator: "\n").first
        #expect(unfinished == #"Test "says \"no\"""#)
        #expect(!run.errors.contains("never printed"))
        #expect(run.output.contains("12 passed, 1 failed"))
        #expect(run.errors.contains("test: failed: first"))
    }

    @Test("all parts run even if one fails, and the failed part is named at the end")
    func everyPartRuns() async throws {
        let run = try await Self.runParts(
            """
            broken() { echo 'the reason'; false; echo 'never printed'; }
            run_part first broken
            run_part second echo '12 passed, 0 failed'
            end_of_parts
            """)
        #expect(run.status == 1)
        #expect(run.errors.contains("the reason"))
        #expect(!run.errors.contains("never printed"))
        #expect(run.errors.contains("test: failed: first\n"))
        #expect(run.lines.last == "12 passed, 1 failed")
    }

    @Test("a passing part prints only its summary")
    func passingPartIsQuiet() async throws {
        let run = try await Self.runParts(
            """
            swift_tests() {
                echo 'error: expected by a test'
                echo '✔ Test "one" passed after 0.1 seconds.'
                echo '➜ Test "two" skipped: "no reason"'
                echo '✔ Test run with 12 tests in 3 suites passed after 0.5 seconds.'
            }
            run_part swift swift_tests
            run_part python echo '2 passed, 1 skipped in 0.10s'
            end_of_parts
            """)
        #expect(run.status == 0)
        #expect(!run.errors.contains("expected by a test"))
        #expect(run.lines.first?.hasPrefix("swift: Test run with 12 tests in 3 suites passed") == true)
        #expect(run.lines.last == "13 passed, 0 failed")
    }

    @Test("failed tests are counted as by the test runners")
    func failuresAreCounted() async throws {
        let run = try await Self.runParts(
            """
            swift_tests() {
                echo '✘ Test "one" failed after 0.1 seconds with 2 issues.'
                echo '✘ Suite "S" failed after 0.1 seconds with 2 issues.'
                echo '✘ Test run with 5 tests in 1 suite failed after 0.5 seconds with 2 issues.'
                exit 1
            }
            python_tests() { echo '2 failed, 30 passed, 1 error in 2.10s' && exit 1; }
            run_part swift swift_tests
            run_part python python_tests
            end_of_parts
            """)
        #expect(run.status == 1)
        #expect(run.lines.last == "34 passed, 4 failed")
    }

    @Test("setup prints the error of a broken Swift")
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

    @Test("audit-chain prints no error if its output is not read")
    func auditChainIsQuiet() async throws {
        let job = "0197a000-0000-7000-8000-000000000000"
        // The reader of the pipe ends before anything is written.
        let run = try await CommandRun.run(
            "/bin/bash", ["-c", "exec 3> >(true); wait $!; Scripts/audit-chain \(job) >&3 <<<'no event'"],
            folder: projectFolder)
        #expect(run.errors.isEmpty)
    }

    @Test("embedding unchanged files again does not touch the generated source")
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
