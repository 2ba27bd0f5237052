internal import Foundation

/// A running process of `progress-ledger`, with its output in a file.
public final class ServerProcess: @unchecked Sendable {
    // `@unchecked`: one test at a time uses the `Process`, which protects its own state by a lock.
    private let process = Process()
    private let output: ProcessOutput

    /// The path of the built `progress-ledger`.
    ///
    /// It is in the folder of the tests, unless `PROGRESS_LEDGER_BINARY` names another path.
    public static var binary: String {
        if let given = ProcessInfo.processInfo.environment["PROGRESS_LEDGER_BINARY"] { return given }
        let tests = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
        return tests.appendingPathComponent("progress-ledger").path
    }

    /// Starts the program.
    public init(_ arguments: [String], environment: [String: String] = [:]) throws {
        output = try ProcessOutput()
        process.executableURL = URL(fileURLWithPath: Self.binary)
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        let file = try output.open()
        process.standardOutput = file
        process.standardError = file
        process.standardInput = FileHandle.nullDevice
        try process.begin()
    }

    deinit {
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    }

    /// The output so far, of standard output and standard error.
    public var printed: String { output.text }

    public var isRunning: Bool { process.isRunning }
    public var exitCode: Int32 { process.terminationStatus }
    public var processIdentifier: Int32 { process.processIdentifier }

    /// Waits until the server listens, and returns its URL.
    public func url(within limit: Duration = .testTimeout) async throws -> String {
        var url: String?
        try await eventually(within: limit) {
            guard self.isRunning else { throw ProcessEnded(printed: self.printed) }
            url = self.printed.split(separator: "\n").first { $0.hasPrefix("listening on ") }
                .map { String($0.dropFirst("listening on ".count)) }
            return url != nil
        }
        return url ?? ""
    }

    /// Sends a signal, unless the process has ended.
    ///
    /// Its number may then belong to another process.
    public func send(_ signal: Int32) {
        guard process.isRunning else { return }
        kill(process.processIdentifier, signal)
    }

    /// Waits until the process has ended.
    public func wait(within limit: Duration = .testTimeout) async throws {
        try await eventually(within: limit) { !self.isRunning }
    }
}

/// The error if a server's process ends before it listens.
public struct ProcessEnded: Error {
    public let printed: String
}
