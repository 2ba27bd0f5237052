import Glibc

/// A file that is created completely or not created.
///
/// It is written under a temporary name in the same folder and renamed at the end. A path that is not a regular file,
/// such as a device or a pipe, is written directly.
final class OutputFile {
    /// The final path, with symbolic links resolved. The links stay.
    private let path: String
    /// The temporary path; nil if the final path is written directly.
    private let partPath: String?
    private let descriptor: Int32
    private var isFinished = false

    init(_ path: String) throws(CommandFailure) {
        var status = stat()
        let fileExists = stat(path, &status) == 0
        // /dev/stdout may be a regular file that another program owns.
        guard !fileExists || status.st_mode & S_IFMT == S_IFREG && !path.hasPrefix("/dev/") && !path.hasPrefix("/proc/")
        else {
            (self.path, partPath) = (path, nil)
            descriptor = open(path, O_WRONLY | O_APPEND | O_CLOEXEC)
            guard descriptor >= 0 else { throw Self.failure(path) }
            return
        }
        self.path = Self.target(path)
        // A random name keeps processes apart that write to the same path at the same time.
        let partPath = "\(self.path).\(UInt32.random(in: 0 ... .max)).part"
        self.partPath = partPath
        descriptor = open(partPath, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard descriptor >= 0, !fileExists || fchmod(descriptor, status.st_mode & 0o7777) == 0 else {
            throw Self.failure(path)
        }
    }

    deinit {
        guard descriptor >= 0 else { return }
        close(descriptor)
        if let partPath, !isFinished { unlink(partPath) }
    }

    /// The target of a path's links, even if the target does not exist yet.
    private static func target(_ path: String) -> String {
        if let real = realpath(path, nil) {
            defer { free(real) }
            return String(cString: real)
        }
        var bytes = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink(path, &bytes, bytes.count)
        guard count > 0 else { return path }
        let link = String(decoding: bytes.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self)
        guard !link.hasPrefix("/"), let end = path.lastIndex(of: "/") else { return link }
        return "\(path[...end])\(link)"
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

    /// Flushes the file to the disk and gives it its final name.
    func finish() throws(CommandFailure) {
        guard let partPath else { return }
        guard fsync(descriptor) == 0, rename(partPath, path) == 0 else { throw Self.failure(path) }
        isFinished = true
    }

    private static func failure(_ path: String) -> CommandFailure {
        CommandFailure(.failed, "Cannot write \(path): \(String(cString: strerror(errno)).lowercased()).")
    }
}
