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
    /// The time of that signal, in seconds of the monotonic clock.
    private static let lastStopTime = Atomic<Int>(0)
    /// For how many seconds a failure after a signal to end counts as its effect.
    ///
    /// A command may handle such a signal otherwise: SIGHUP often means to read the configuration again.
    private static let stopSeconds = 60

    /// The signal to end that arrived before the child was running; nil without one.
    static var pendingStop: Int32? {
        let signal = pending.load(ordering: .sequentiallyConsistent)
        return [0, SIGUSR1, SIGUSR2].contains(signal) ? nil : signal
    }

    /// Whether the child ended because a signal had asked for that.
    static func wasStopped(by ending: Ending) -> Bool {
        let signal = lastStop.load(ordering: .sequentiallyConsistent)
        guard signal != 0 else { return false }
        if ending == .killed(signal) || ending == .exited(128 + signal) { return true }
        return monotonicSeconds() - lastStopTime.load(ordering: .sequentiallyConsistent) <= stopSeconds
    }

    /// The monotonic clock; safe in a handler of signals.
    private static func monotonicSeconds() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return time.tv_sec
    }

    /// Begins to pass signals on; until a child runs, the last one waits for it.
    static func catchSignals() {
        // The handler must not be the first to use these values, because their initialization may take a lock.
        _ = (running.load(ordering: .relaxed), pending.load(ordering: .relaxed))
        _ = (lastStop.load(ordering: .relaxed), lastStopTime.load(ordering: .relaxed))
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
                    ChildProcess.lastStopTime.store(
                        ChildProcess.monotonicSeconds(), ordering: .sequentiallyConsistent)
                }
                let child = ChildProcess.running.load(ordering: .sequentiallyConsistent)
                if child <= 0 {
                    ChildProcess.pending.store(number, ordering: .sequentiallyConsistent)
                } else if info?.pointee.si_code != ChildProcess.sentByKernel {
                    kill(child, number)
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
    /// It gets its arguments and variables byte for byte, even if they are not UTF-8.
    ///
    /// - Parameters:
    ///   - command: The command and its arguments: the last ones of this process.
    ///   - changes: The variables that differ from those of this process; nil for one that the child does not get.
    init(_ command: [String], replacing changes: [String: String?]) throws(Failure) {
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
        let arguments = Self.arguments(command) + [nil]
        let variables = Self.environment(replacing: changes) + [nil]
        defer { for pointer in arguments + variables { free(pointer) } }
        guard let file = arguments[0] else {
            throw Failure(description: "cannot run \(command[0]): no memory", exitCode: 126)
        }
        // A caller that ignores the ends of its children would keep the kernel from storing that of this one.
        signal(SIGCHLD, SIG_DFL)
        var process: pid_t = 0
        let failure = posix_spawnp(&process, file, nil, &attributes, arguments, variables)
        guard failure == 0 else {
            // PATH may contain folders that cannot be searched, which says nothing about the command.
            let isMissing = failure == ENOENT || failure == EACCES && !Self.isInPath(command[0])
            throw Failure(
                description: "cannot run \(command[0]): \(String(cString: strerror(isMissing ? ENOENT : failure)))",
                exitCode: isMissing ? 127 : 126)
        }
        id = process
        Self.running.store(process, ordering: .sequentiallyConsistent)
        let waiting = Self.pending.exchange(0, ordering: .sequentiallyConsistent)
        if waiting != 0 { kill(process, waiting) }
    }

    /// Whether a command is a path, or a folder of PATH is known to contain it.
    private static func isInPath(_ command: String) -> Bool {
        guard !command.utf8.contains(UInt8(ascii: "/")) else { return true }
        let path = getenv("PATH").map { String(cString: $0) } ?? "/bin:/usr/bin"
        return path.split(separator: ":").contains { access("\($0)/\(command)", F_OK) == 0 }
    }

    /// Copies the bytes of the last arguments of this process, which are a command.
    private static func arguments(_ command: [String]) -> [UnsafeMutablePointer<CChar>?] {
        let count = Int(CommandLine.argc)
        let own = (max(0, count - command.count)..<count).map { CommandLine.unsafeArgv[$0] }
        let isOwn = own.map { $0.map { String(cString: $0) } } == command
        return isOwn ? own.map { $0.flatMap { strdup($0) } } : command.map { strdup($0) }
    }

    /// Copies the bytes of the variables of this process.
    private static func environment(replacing changes: [String: String?]) -> [UnsafeMutablePointer<CChar>?] {
        var variables: [UnsafeMutablePointer<CChar>?] = []
        var index = 0
        while let variable = environ[index] {
            index += 1
            let isReplaced = changes.keys.contains { name in
                strncmp(variable, name, name.utf8.count) == 0 && variable[name.utf8.count] == CChar(UInt8(ascii: "="))
            }
            if !isReplaced { variables.append(strdup(variable)) }
        }
        for case (let name, let value?) in changes { variables.append(strdup("\(name)=\(value)")) }
        return variables
    }

    /// Waits for the end of the command.
    ///
    /// It blocks no thread of the concurrency runtime.
    func end() async -> Ending {
        await withCheckedContinuation { continuation in
            DispatchQueue(label: "child-process").async { continuation.resume(returning: wait()) }
        }
    }

    /// Waits for the end of the command, and reaps all other children that end before.
    private func wait() -> Ending {
        while true {
            var information = siginfo_t()
            // Not reaped yet, so that no signal can reach another process with the child's id.
            guard waitid(P_ALL, 0, &information, WEXITED | WNOWAIT) == 0 else {
                precondition(errno == EINTR, "waiting for a child failed with error \(errno)")
                continue
            }
            let ended = information._sifields._sigchld.si_pid
            if ended == id { break }
            // As process 1 of a container, this process has adopted an orphan of the command.
            waitpid(ended, nil, 0)
        }
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
