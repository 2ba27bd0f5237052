import Dispatch
import Glibc
import Synchronization

/// The lines of standard input, or of another file, in bounded memory.
///
/// Reading blocks a thread of its own, and none of those on which tasks run.
final class MCPInput: Sendable {
    /// A line without its line feed.
    enum Line: Equatable, Sendable {
        case text([UInt8])
        /// A line of more than ``lineBytesMax`` bytes, which was skipped.
        case tooLong
        case end
    }

    /// The maximum length of a line: the longest valid request is a thousandth of it.
    static let lineBytesMax = 1_048_576
    private static let pieceBytes = 65_536

    private struct Buffer {
        var bytes: [UInt8] = []
        /// The bytes before this index contain no line feed.
        var searched = 0
        var isSkipping = false
        var isAtEnd = false
    }

    private let descriptor: Int32
    private let queue = DispatchQueue(label: "mcp-input")
    private let buffer = Mutex(Buffer())

    init(descriptor: Int32 = STDIN_FILENO) {
        self.descriptor = descriptor
    }

    /// Returns the next line; ``Line/end`` at the end and after a failure to read.
    ///
    /// One caller at a time. It does not end when its task is canceled.
    func next() async -> Line {
        await withCheckedContinuation { continuation in
            queue.async { [self] in continuation.resume(returning: buffer.withLock { nextLine(&$0) }) }
        }
    }

    private func nextLine(_ buffer: inout Buffer) -> Line {
        while true {
            if let end = buffer.bytes[buffer.searched...].firstIndex(of: UInt8(ascii: "\n")) {
                let line = Array(buffer.bytes[..<end])
                buffer.bytes.removeFirst(end + 1)
                buffer.searched = 0
                if buffer.isSkipping {
                    buffer.isSkipping = false
                    return .tooLong
                }
                guard line.count <= Self.lineBytesMax else { return .tooLong }
                if line.allSatisfy({ $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\r") }) { continue }
                return .text(line)
            }
            if buffer.isAtEnd {
                defer { buffer = Buffer(isAtEnd: true) }
                if buffer.isSkipping { return .tooLong }
                return buffer.bytes.isEmpty ? .end : .text(buffer.bytes)
            }
            buffer.searched = buffer.bytes.count
            if buffer.bytes.count > Self.lineBytesMax {
                buffer.isSkipping = true
                buffer.bytes = []
                buffer.searched = 0
            }
            fill(&buffer)
        }
    }

    private func fill(_ buffer: inout Buffer) {
        var piece = [UInt8](repeating: 0, count: Self.pieceBytes)
        let count = piece.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
        if count > 0 {
            buffer.bytes += piece[..<count]
        } else if count == 0 || errno != EINTR {
            buffer.isAtEnd = true
        }
    }
}
