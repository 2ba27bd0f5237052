import Crypto
import Glibc
import Ledger

/// A reader of a file's lines, in bounded memory.
final class LineFile {
    /// The longest line that is accepted, in bytes.
    ///
    /// The ledger writes shorter lines: an event with all its texts escaped stays below 20 kB, but an event that
    /// describes a job with all its tags may have a few hundred.
    private static let lineBytesMax = 1_048_576
    private static let pieceBytes = 65_536

    private let path: String
    private let descriptor: Int32
    private var buffer: [UInt8] = []
    private var position = 0
    private var isAtEnd = false
    private var hash = SHA256()

    /// - Parameter path: The file; `-` is standard input.
    init(_ path: String) throws(CommandFailure) {
        self.path = path
        descriptor = path == "-" ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw Self.failure(path)
        }
    }

    private static func failure(_ path: String) -> CommandFailure {
        CommandFailure(.failed, "Cannot read \(path): \(String(cString: strerror(errno)).lowercased()).")
    }

    deinit {
        if descriptor > STDERR_FILENO { close(descriptor) }
    }

    /// The SHA-256 of the bytes that were read.
    ///
    /// It is that of the file once ``next()`` has returned nil.
    var sha256: EventHash { EventHash(bytes: hash.finalize()) ?? .none }

    /// Returns the SHA-256 of a file.
    static func sha256(of path: String) throws(CommandFailure) -> EventHash {
        let file = try LineFile(path)
        while !file.isAtEnd {
            try file.fill()
            file.buffer.removeAll(keepingCapacity: true)
        }
        return file.sha256
    }

    /// The next line that is not empty, without its line feed; nil at the end.
    func next() throws(CommandFailure) -> [UInt8]? {
        var searched = position
        while true {
            if let end = buffer[searched...].firstIndex(of: UInt8(ascii: "\n")) {
                let line = Array(buffer[position..<end])
                position = end + 1
                searched = position
                if line.isEmpty { continue }
                return line
            }
            guard !isAtEnd else {
                defer { position = buffer.count }
                return position < buffer.count ? Array(buffer[position...]) : nil
            }
            buffer.removeFirst(position)
            position = 0
            searched = buffer.count
            guard buffer.count <= Self.lineBytesMax else {
                throw CommandFailure(.usage, "\(path) has a line of more than \(Self.lineBytesMax) bytes.")
            }
            try fill()
        }
    }

    private func fill() throws(CommandFailure) {
        var piece = [UInt8](repeating: 0, count: Self.pieceBytes)
        let count = piece.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
        guard count >= 0 else {
            if errno == EINTR { return }
            throw Self.failure(path)
        }
        isAtEnd = count == 0
        hash.update(data: piece[..<count])
        buffer += piece[..<count]
    }
}
