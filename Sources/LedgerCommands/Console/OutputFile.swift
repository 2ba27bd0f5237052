import Glibc

/// A file that is there as a whole or not at all: written under another name beside it, and renamed at the end. What is no
/// file, such as a device or a pipe, is written to as it is.
final class OutputFile {
    /// Where it is to be: behind links, which stay.
    private let path: String
    /// Under which name it is written; nil where that is its own.
    private let partPath: String?
    private let descriptor: Int32
    private var isFinished = false

    init(_ path: String) throws(CommandFailure) {
        var status = stat()
        guard stat(path, &status) != 0 || status.st_mode & S_IFMT == S_IFREG else {
            (self.path, partPath) = (path, nil)
            descriptor = open(path, O_WRONLY | O_CLOEXEC)
            guard descriptor >= 0 else { throw Self.failure(path) }
            return
        }
        let target = realpath(path, nil)
        defer { free(target) }
        self.path = target.map { String(cString: $0) } ?? path
        // Another one that writes to the same path at the same time has another name.
        let partPath = "\(self.path).\(getpid()).part"
        self.partPath = partPath
        descriptor = open(partPath, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw Self.failure(path) }
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
        if let partPath, !isFinished { unlink(partPath) }
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
        guard let partPath else { return }
        guard fsync(descriptor) == 0, rename(partPath, path) == 0 else { throw Self.failure(path) }
        isFinished = true
    }

    private static func failure(_ path: String) -> CommandFailure {
        CommandFailure(.failed, "\(path) cannot be written: \(String(cString: strerror(errno))).")
    }
}
