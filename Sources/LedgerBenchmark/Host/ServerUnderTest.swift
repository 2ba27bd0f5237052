internal import FoundationEssentials
internal import Glibc

/// A `progress-ledger serve` in a separate process.
///
/// Therefore its processor time and memory can be measured separately.
final class ServerUnderTest {
    private static let startDeadline: Duration = .seconds(60)
    private static let stopDeadline: Duration = .seconds(60)

    let process: Int32
    private(set) var port: UInt16 = 0
    private let token: String?
    private let tls: LoadTLS?
    private let output: String
    private var isStopped = false

    /// Starts the server and waits until it is ready.
    ///
    /// - Parameters:
    ///   - program: The path of the program, the same as this one.
    ///   - ledger: The options that name its database, or its shards.
    ///   - projects: Whether the server runs a projection worker.
    ///   - watchersMax: The most concurrent watchers; nil for the default.
    ///   - token: The token that it requires, if the database has one.
    ///   - tls: The certificate that it uses; nil for plain HTTP.
    ///   - folder: The folder for its output.
    init(
        program: String, ledger: [String], projects: Bool, watchersMax: Int? = nil, token: String? = nil,
        tls: LoadTLS? = nil, folder: String
    ) async throws {
        (self.token, self.tls) = (token, tls)
        output = "\(folder)/server-\(UInt64.random(in: 0 ... .max)).log"
        var arguments = [program, "serve"] + ledger + ["--port", "0", "--log-level", "warning"]
        if !projects { arguments.append("--no-projection") }
        if let watchersMax { arguments += ["--watchers-max", "\(watchersMax)"] }
        if let tls { arguments += ["--tls-certificate", tls.certificate, "--tls-key", tls.key] }
        process = try Self.spawn(arguments, output: output)
        let end = ContinuousClock.now + Self.startDeadline
        while true {
            if let address = printed.split(separator: "\n").first(where: { $0.hasPrefix("listening on ") }),
                let number = address.split(separator: ":").last.flatMap({ UInt16($0) })
            {
                port = number
                return
            }
            guard !hasEnded, ContinuousClock.now < end else {
                throw BenchmarkError("the server did not start:\n\(printed.suffix(2_000))")
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    deinit {
        if !isStopped { kill(process, SIGKILL) }
    }

    /// The server as a load reaches it.
    var target: LoadTarget { LoadTarget(port: port, token: token, tls: tls) }

    /// The server's output.
    var printed: String {
        FileManager.default.contents(atPath: output).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    /// Stops the server after it has finished its requests.
    func stop() async throws {
        guard !isStopped else { return }
        kill(process, SIGTERM)
        let end = ContinuousClock.now + Self.stopDeadline
        while !hasEnded {
            guard ContinuousClock.now < end else {
                kill(process, SIGKILL)
                throw BenchmarkError("the server did not stop:\n\(printed.suffix(2_000))")
            }
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    private var hasEnded: Bool {
        if isStopped { return true }
        var status: Int32 = 0
        isStopped = waitpid(process, &status, WNOHANG) == process
        return isStopped
    }

    private static func spawn(_ arguments: [String], output: String) throws -> Int32 {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_APPEND, 0o644)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        let pointers = arguments.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        var process: pid_t = 0
        let failure = posix_spawn(&process, arguments[0], &actions, nil, pointers, environ)
        guard failure == 0 else {
            throw BenchmarkError("cannot run \(arguments[0]): \(String(cString: strerror(failure)))")
        }
        return process
    }
}
