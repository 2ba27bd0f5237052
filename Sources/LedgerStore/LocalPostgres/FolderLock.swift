internal import Glibc

/// A lock on a file, which the kernel releases at the end of the process.
final class FolderLock: Sendable {
    private let descriptor: Int32

    private init(_ path: String) throws(LocalPostgresError) {
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw LocalPostgresError(.folderUnusable, "cannot write \(path): \(String(cString: strerror(errno)))")
        }
    }

    deinit {
        close(descriptor)
    }

    /// Takes a lock that several processes can share.
    static func shared(_ path: String) throws(LocalPostgresError) -> FolderLock {
        let lock = try FolderLock(path)
        guard flock(lock.descriptor, LOCK_SH | LOCK_NB) == 0 else {
            throw LocalPostgresError(.folderUnusable, "\(path): another process is stopping the private PostgreSQL")
        }
        return lock
    }

    /// Takes an exclusive lock and waits for it until the deadline.
    static func exclusive(_ path: String, deadline: Duration) async throws(LocalPostgresError) -> FolderLock {
        let lock = try FolderLock(path)
        let end = ContinuousClock.now + deadline
        while flock(lock.descriptor, LOCK_EX | LOCK_NB) != 0 {
            guard ContinuousClock.now < end else {
                throw LocalPostgresError(.deadlineExceeded, "another process holds \(path) for longer than \(deadline)")
            }
            do { try await Task.sleep(for: .milliseconds(50)) } catch {
                throw LocalPostgresError(.deadlineExceeded, "stopped while waiting for \(path)")
            }
        }
        return lock
    }

    /// Makes a shared lock exclusive. Returns `false` if another process shares it.
    func becomeExclusive() -> Bool {
        flock(descriptor, LOCK_EX | LOCK_NB) == 0
    }

    func release() {
        flock(descriptor, LOCK_UN)
    }
}
