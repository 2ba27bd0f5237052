import Glibc

/// A file that is there as a whole or not at all: written under another name beside it, and renamed at the end.
final class OutputFile {
    private let path: String
    private let partPath: String
    private let descriptor: Int32
    private var isFinished = false

    init(_ path: String) throws(CommandFailure) {
        self.path = path
        // Another one that writes to the same path at the same time has another name.
        partPath = "\(path).\(getpid()).part"
        descriptor = open(partPath, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw Self.failure(path) }
    }

    deinit {
        close(descriptor)
        if !isFinished { unlink(partPath) }
    }

    static func write(_ text: String, to path: String) throws(CommandFailure) {
        let file = try OutputFile(path)
        try file.write(Array(text.utf8))
        try file.finish()
    }

    func write(_ bytes: [UInt8]) throws(CommandFailure) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            guard count >= 0 || errno == EINTR else { throw Self.failure(path) }
            rest = rest.dropFirst(max(0, count))
        }
    }

    /// Has all of it on the disk under its own name.
    func finish() throws(CommandFailure) {
        guard fsync(descriptor) == 0, rename(partPath, path) == 0 else { throw Self.failure(path) }
        isFinished = true
    }

    private static func failure(_ path: String) -> CommandFailure {
        CommandFailure(.failed, "\(path) cannot be written: \(String(cString: strerror(errno))).")
    }
}
