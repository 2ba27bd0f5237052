import Foundation
import LedgerTestSupport
import Testing

@Suite("Help of the command line")
struct HelpTests {
    @Test(
        "requested help is printed to standard output, with exit code 0",
        arguments: [["--help"], ["-h"], ["help"], ["serve", "--help"], ["help", "replay"], ["bench", "-h"]])
    func help(arguments: [String]) async throws {
        let run = try await CommandRun.run(ServerProcess.binary, arguments)
        #expect(run.status == 0)
        #expect(run.output.contains("USAGE: progress-ledger"))
        #expect(run.errors.isEmpty, "\(run.errors)")
    }

    @Test("the version is that of Package.swift, with the build")
    func version() async throws {
        let run = try await CommandRun.run(ServerProcess.binary, ["--version"])
        #expect(run.status == 0)
        let output = try #require(try /([0-9.]+) \(build ([0-9a-z-]+)\)\n/.wholeMatch(in: run.output), "\(run.output)")
        let manifest = try String(contentsOfFile: projectFolder + "Package.swift", encoding: .utf8)
        #expect(manifest.contains("\nlet version = \"\(output.1)\"\n"))
    }

    @Test("an invalid argument is named on standard error with the usage, and exit code 64")
    func mistakes() async throws {
        for arguments in [["nonsense"], ["serve", "--nonsense"], ["bench", "--rounds", "many"]] {
            let run = try await CommandRun.run(ServerProcess.binary, arguments)
            #expect(run.status == 64)
            #expect(run.errors.hasPrefix("Error: "))
            #expect(run.errors.contains("Usage: progress-ledger"))
            #expect(run.output.isEmpty)
        }
    }
}
