import Foundation
import LedgerTestSupport
import Testing

@Suite("The help of the command line")
struct HelpTests {
    @Test(
        "help that was asked for goes to the output, with code 0",
        arguments: [["--help"], ["-h"], ["help"], ["serve", "--help"], ["help", "replay"], ["bench", "-h"]])
    func help(arguments: [String]) async throws {
        let run = try await CommandRun.run(ServerProcess.binary, arguments)
        #expect(run.status == 0)
        #expect(run.output.contains("USAGE: progress-ledger"))
        #expect(run.errors.isEmpty, "\(run.errors)")
    }

    @Test("the version is that of the Python client, which is released with it")
    func version() async throws {
        let run = try await CommandRun.run(ServerProcess.binary, ["--version"])
        #expect(run.status == 0)
        let client = try String(
            contentsOfFile: projectFolder + "Sources/python-client/src/progress_ledger/__init__.py", encoding: .utf8)
        #expect(client.contains("__version__ = \"\(run.output.trimmingCharacters(in: .whitespacesAndNewlines))\"\n"))
        #expect(run.output.count > 1)
    }

    @Test("a mistake is named on the error output, with how to write it, and code 64")
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
