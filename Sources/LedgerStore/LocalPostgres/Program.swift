internal import CSpawn
internal import FoundationEssentials
internal import Glibc

/// Runs a program to its end without blocking a thread, with its output in a file.
package struct Program {
    /// The arguments before the program, which run it as another user.
    let prefix: [String]
    /// The file to which its output is appended.
    let log: String

    package init(prefix: [String], log: String) {
        self.prefix = prefix
        self.log = log
    }

    private static let pollInterval: Duration = .milliseconds(10)

    /// Runs the program and waits for its end.
    ///
    /// - Returns: Its exit code and its output.
    /// - Throws: ``LocalPostgresError/Code/deadlineExceeded`` after killing the program.
    package func run(
        _ arguments: [String], deadline: Duration
    ) async throws(LocalPostgresError) -> (exitCode: Int32, output: String) {
        let before = Self.size(of: log)
        // The working folder must be one that every user may enter.
        let process = try spawn(["env", "--chdir=/"] + prefix + arguments)
        let end = ContinuousClock.now + deadline
        var status: Int32 = 0
        while true {
            let ended = waitpid(process, &status, WNOHANG)
            if ended == process { break }
            if ended < 0, errno != EINTR {
                throw LocalPostgresError(
                    .programFailed, "cannot get the exit status of \(arguments.first ?? "a program"): error \(errno)")
            }
            if ContinuousClock.now >= end || Task.isCancelled {
                kill(process, SIGKILL)
                await Self.reap(process)
                throw LocalPostgresError(
                    .deadlineExceeded,
                    "\(arguments.first ?? "a program") was cancelled or did not end within \(deadline); see \(log)")
            }
            do { try await Task.sleep(for: Self.pollInterval) } catch { continue }
        }
        let exitCode = status & 0x7F == 0 ? (status >> 8) & 0xFF : 128 + (status & 0x7F)
        return (exitCode, Self.text(of: log, from: before))
    }

    /// Waits a few seconds for the end of a killed process.
    ///
    /// One that waits for a disk ends later, and must not block a thread until then.
    private static func reap(_ process: pid_t) async {
        // A task of its own, because the caller's may be cancelled, and would not sleep.
        await Task(name: "reap") {
            let end = ContinuousClock.now + .seconds(5)
            while waitpid(process, nil, WNOHANG) == 0, .now < end {
                do { try await Task.sleep(for: pollInterval) } catch { return }
            }
        }.value
    }

    private func spawn(_ arguments: [String]) throws(LocalPostgresError) -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        // The program must not inherit open descriptors: a server that outlives this process would keep its sockets and
        // pipes open. A list of them would miss one that another thread opens now.
        posix_spawn_file_actions_addclosefrom_np(&actions, 3)

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // The program gets a separate process group, so that Ctrl-C reaches only this process, which then stops it in
        // order.
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK))
        // The program would inherit the signals that are blocked on this thread. pgbench, for example, would never
        // receive the signal that its time is up.
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)

        let argumentPointers = arguments.map { strdup($0) } + [nil]
        let environment = ["PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL=C", "LANG=C"]
        let environmentPointers = environment.map { strdup($0) } + [nil]
        defer {
            for pointer in argumentPointers { free(pointer) }
            for pointer in environmentPointers { free(pointer) }
        }
        var process: pid_t = 0
        let failure = posix_spawnp(
            &process, arguments[0], &actions, &attributes, argumentPointers, environmentPointers)
        guard failure == 0 else {
            throw LocalPostgresError(
                .programFailed, "cannot run \(arguments[0]): \(String(cString: strerror(failure)))")
        }
        return process
    }

    /// The size of a file in bytes, or 0 if it does not exist.
    static func size(of path: String) -> Int {
        var status = stat()
        return stat(path, &status) == 0 ? Int(status.st_size) : 0
    }

    /// The text added to a file since it had this size, at most its last 4,000 bytes.
    static func text(of path: String, from offset: Int) -> String {
        guard let data = FileManager.default.contents(atPath: path), data.count > offset else { return "" }
        return String(decoding: data.dropFirst(offset).suffix(4_000), as: UTF8.self)
    }
}
