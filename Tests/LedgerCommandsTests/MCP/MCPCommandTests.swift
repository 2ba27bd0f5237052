import Foundation
import Ledger
import LedgerTestSupport
import LedgerWire
import ProgressLedgerClient
import Testing

@Suite("The command mcp")
struct MCPCommandTests {
    /// Runs the command with this input, and returns its responses.
    private func run(
        _ input: String, environment: [String: String] = [:]
    ) async throws -> (run: CommandRun, responses: [JSONValue]) {
        let file = FileManager.default.temporaryDirectory.appending(path: "mcp-\(UUID().uuidString)")
        try Data(input.utf8).write(to: file)
        defer { TestFiles.remove(file.path()) }
        let run = try await CommandRun.run(
            "/bin/sh", ["-c", "exec \"$0\" mcp < \"$1\"", ServerProcess.binary, file.path()], environment: environment)
        return (run, try run.lines.map { try JSONReader.read(Array($0.utf8)) })
    }

    @Test("the end of the input ends it with 0, even at once and within a line")
    func endOfInput() async throws {
        let (empty, _) = try await run("")
        #expect(empty.status == 0 && empty.output.isEmpty && empty.errors.isEmpty)
        let (cut, responses) = try await run(
            #"{"jsonrpc":"2.0","id":1,"method":"ping"}"# + "\n" + #"{"jsonrpc":"2.0","#)
        #expect(cut.status == 0 && responses.count == 2)
        #expect(responses.first?["id"] == .integer(1) && responses.last?["error"]?["code"] == .integer(-32_700))
    }

    @Test("malformed lines, a line that is too long and notifications do not end the session")
    func malformedLines() async throws {
        let long = "{" + String(repeating: "x", count: 3_000_000)
        let (run, responses) = try await run(
            ["nonsense", long, #"{"jsonrpc":"2.0","method":"x"}"#, "", #"{"jsonrpc":"2.0","id":"z","method":"x"}"#]
                .joined(separator: "\n"))
        #expect(run.status == 0)
        #expect(responses.map { $0["error"]?["code"] } == [.integer(-32_700), .integer(-32_700), .integer(-32_601)])
        #expect(responses.last?["id"] == .string("z"))
    }

    @Test("the end of the input cancels calls in progress, and a canceled call gets no response")
    func cancels() async throws {
        try await withServer { url, _ in
            let job = try await LedgerClient(url: url).createJob(JobDescription(name: "n")).id
            let began = ContinuousClock.now
            let wait =
                #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"wait","arguments":{"job":"\#(job)"}}}"#
            let cancel = #"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#
            let other = wait.replacing("\"id\":1", with: "\"id\":2")
            let (run, responses) = try await run(
                [wait, cancel, other].joined(separator: "\n"), environment: ["PROGRESS_LEDGER_URL": url])
            #expect(run.status == 0 && responses.isEmpty, "\(run.output)")
            #expect(began.duration(to: .now) < .seconds(25), "it waited for the calls")
        }
    }

    @Test("a wrong configuration ends it with a message and no response")
    func configuration() async throws {
        let wrong = try await run("", environment: ["PROGRESS_LEDGER_TOKEN_FILE": "/nowhere/token"]).run
        #expect(wrong.status == 64 && wrong.output.isEmpty && wrong.errors.contains("/nowhere/token"))
    }
}
