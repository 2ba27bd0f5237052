import Foundation
import LedgerTestSupport
import PQ

@testable import LedgerCommands

/// The output and the exit code of a program.
struct CommandRun: Sendable {
    let output: String
    let errors: String
    let status: Int32

    /// Whether this run of `status` reports no problem of the ledger.
    ///
    /// The tests' PostgreSQL does not wait for the disk, which is a problem only of its own.
    var hasNoProblem: Bool {
        status == 0
            || status == ExitStatus.failed.rawValue && errors == "progress-ledger: \(StatusText.crashLosesEvents)\n"
    }

    var lines: [String] { output.split(separator: "\n").map(String.init) }

    /// Runs `progress-ledger` to its end.
    static func ledger(_ arguments: String..., environment: [String: String] = [:]) async throws -> CommandRun {
        try await run(ServerProcess.binary, arguments, environment: environment)
    }

    /// Runs `progress-ledger` to its end as a user without privileges, even for root.
    static func unprivilegedLedger(
        _ arguments: String..., environment: [String: String] = [:]
    ) async throws -> CommandRun {
        guard geteuid() == 0 else { return try await run(ServerProcess.binary, arguments, environment: environment) }
        // The number of the account "nobody", which owns nothing.
        let account = ["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]
        return try await run(
            "/usr/bin/setpriv", account + [ServerProcess.binary] + arguments, environment: environment, folder: "/")
    }

    /// Runs a program to its end.
    ///
    /// It inherits only the environment variables that programs need to run.
    static func run(
        _ program: String, _ arguments: [String], environment: [String: String] = [:], folder: String? = nil
    ) async throws -> CommandRun {
        let path = FileManager.default.temporaryDirectory.appending(path: "command-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: path, withIntermediateDirectories: false)
        defer { TestFiles.remove(path.path()) }
        let outputs = try ["output", "errors"].map { name in
            let file = path.appending(path: name)
            try Data().write(to: file)
            return try FileHandle(forWritingTo: file)
        }
        let process = Process()
        process.executableURL = URL(filePath: program)
        process.arguments = arguments
        process.environment = plainEnvironment.merging(environment) { $1 }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = outputs[0]
        process.standardError = outputs[1]
        if let folder { process.currentDirectoryURL = URL(filePath: folder) }
        try process.begin()
        do { try await eventually(within: .seconds(300)) { !process.isRunning } } catch {
            kill(process.processIdentifier, SIGKILL)
            throw error
        }
        for output in outputs { try output.close() }
        let texts = try ["output", "errors"].map {
            String(decoding: try Data(contentsOf: path.appending(path: $0)), as: UTF8.self)
        }
        return CommandRun(output: texts[0], errors: texts[1], status: process.terminationStatus)
    }

    private static var plainEnvironment: [String: String] {
        let kept = ["PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "SWIFT_BACKTRACE"]
        return ProcessInfo.processInfo.environment.filter { kept.contains($0.key) }
    }
}

/// The project's folder.
let projectFolder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().path()

/// Runs the body with a server process on a database of its own.
///
/// Afterwards the server is stopped as an operator would stop it.
func withServer(
    _ arguments: String..., body: (_ url: String, ServerProcess) async throws -> Void
) async throws {
    try await withLedgerDatabase { target in
        let server = try ServerProcess(["serve", "--port", "0", "--database", target.description] + arguments)
        let url = try await server.url()
        try await body(url, server)
        if server.isRunning { server.send(SIGTERM) }
        try await server.wait()
    }
}
