import CSpawn
import Dispatch
import Glibc
import Synchronization

/// A command that runs as a child of this process.
///
/// It has the terminal, the descriptors and the process group of this process. Signals for this process are passed on
/// to it. Those of the terminal (Ctrl-C) are not, because the terminal sends them to the command itself. There is one
/// child at a time.
struct ChildProcess: Sendable {
    /// The end of a child.
    enum Ending: Hashable, Sendable {
        /// It exited with this code.
        case exited(Int32)
        /// This signal killed it.
        case killed(Int32)

        /// The exit code by which a shell reports the end.
        var exitCode: Int32 {
            switch self {
            case .exited(let code): code
            case .killed(let signal): 128 + signal
            }
        }

        /// The end in words.
        var description: String {
            switch self {
            case .exited(let code): "exit code \(code)"
            case .killed(let signal): "killed by signal \(signal) (\(String(cString: strsignal(signal))))"
            }
        }
    }

    /// The command could not be run.
    struct Failure: Error {
        let description: String
        /// The exit code of a shell: 127 if there is no such command, else 126.
        let exitCode: Int32
    }

    private let id: pid_t

    // MARK: Signals

    /// The signals that are passed on.
    private static let passedSignals = [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2]
    /// The value of `si_code` for a signal of the kernel, such as that of Ctrl-C.
    private static let sentByKernel: Int32 = 0x80
    /// The running child, or 0.
    private static let running = Atomic<pid_t>(0)
    /// A signal that arrived before the child was running, or 0.
    private static let pending = Atomic<Int32>(0)
    /// The last signal that asked for an end, or 0.
    private static let lastStop = Atomic<Int32>(0)

    /// Whether a signal has asked this process to end.
    static var wasStopped: Bool { lastStop.load(ordering: .sequentiallyConsistent) != 0 }

    /// Begins to pass signals on; until a child runs, the last one waits for it.
    static func catchSignals() {
        // The handler must not be the first to use these values, because their initialization may take a lock.
        _ = (running.load(ordering: .relaxed), pending.load(ordering: .relaxed), lastStop.load(ordering: .relaxed))
        for number in passedSignals {
            var action = sigaction()
            // A signal that the caller ignores stays ignored, as with nohup.
            guard sigaction(number, nil, &action) == 0, !isIgnored(action) else { continue }
            // The handler uses only atomic values and kill(2), which signal-safety(7) permits.
            action = sigaction()
            action.sa_flags = SA_SIGINFO | SA_RESTART
            action.__sigaction_handler.sa_sigaction = { number, info, _ in
                let errorNumber = errno
                if number != SIGUSR1, number != SIGUSR2 {
                    ChildProcess.lastStop.store(number, ordering: .sequentiallyConsistent)
                }
                if info?.pointee.si_code != ChildProcess.sentByKernel {
                    let child = ChildProcess.running.load(ordering: .sequentiallyConsistent)
                    if child > 0 {
                        kill(child, number)
                    } else {
                        ChildProcess.pending.store(number, ordering: .sequentiallyConsistent)
                    }
                }
                errno = errorNumber
            }
            sigaction(number, &action, nil)
        }
    }

    private static func isIgnored(_ action: sigaction) -> Bool {
        unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
    }

    // MARK: Running

    /// Starts a command, which is looked up in PATH.
    ///
    /// - Parameter environment: The variables, as `NAME=VALUE`.
    init(_ command: [String], environment: [String]) throws(Failure) {
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        // The command would inherit the signals that are blocked or ignored here for this program's own reasons.
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        var defaults = sigset_t()
        sigemptyset(&defaults)
        sigaddset(&defaults, SIGPIPE)
        posix_spawnattr_setsigdefault(&attributes, &defaults)
        let arguments = command.map { strdup($0) } + [nil]
        let variables = environment.map { strdup($0) } + [nil]
        defer { for pointer in arguments + variables { free(pointer) } }
        var process: pid_t = 0
        let failure = posix_spawnp(&process, command[0], nil, &attributes, arguments, variables)
        guard failure == 0 else {
            throw Failure(
                description: "cannot run \(command[0]): \(String(cString: strerror(failure)))",
                exitCode: failure == ENOENT ? 127 : 126)
        }
        id = process
        Self.running.store(process, ordering: .sequentiallyConsistent)
        let waiting = Self.pending.exchange(0, ordering: .sequentiallyConsistent)
        if waiting != 0 { kill(process, waiting) }
    }

    /// Waits for the end of the command.
    ///
    /// It blocks no thread of the concurrency runtime.
    func end() async -> Ending {
        await withCheckedContinuation { continuation in
            DispatchQueue(label: "child-process").async { continuation.resume(returning: wait()) }
        }
    }

    private func wait() -> Ending {
        var information = siginfo_t()
        // The child is not reaped yet, so that no signal can reach another process with its id.
        while waitid(P_PID, id_t(id), &information, WEXITED | WNOWAIT) != 0, errno == EINTR {}
        Self.running.store(0, ordering: .sequentiallyConsistent)
        var status: Int32 = 0
        while waitpid(id, &status, 0) < 0, errno == EINTR {}
        return status & 0x7F == 0 ? .exited((status >> 8) & 0xFF) : .killed(status & 0x7F)
    }

    // MARK: Descriptors

    /// The open descriptors of this process.
    static func openDescriptors() -> Set<Int32> {
        guard let folder = opendir("/proc/self/fd") else { return [] }
        defer { closedir(folder) }
        var open: Set<Int32> = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if let number = Int32(name), number != dirfd(folder) { open.insert(number) }
        }
        return open
    }

    /// Keeps descriptors of this program from the command, which inherits all others.
    ///
    /// - Parameter inherited: The descriptors that this process had when it began.
    static func closeOnStart(allBut inherited: Set<Int32>) {
        for descriptor in openDescriptors().subtracting(inherited) { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
    }
}
