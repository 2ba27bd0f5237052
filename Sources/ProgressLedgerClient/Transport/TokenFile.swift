internal import FoundationEssentials
internal import Synchronization

/// A file that contains a token, read again when it has changed.
///
/// Such as the projected token of a Kubernetes service account. While it cannot be read, the last token stays in use:
/// it may be removed for a moment while it is replaced.
final class TokenFile: Sendable {
    private struct State {
        var version: FileVersion?
        var token: String?
    }

    /// The maximum size of the file, in bytes.
    private static let bytesMax = 65_536

    private let path: String
    private let state = Mutex(State())

    /// Creates a reader of the file.
    ///
    /// A relative path is resolved now, because the task may change its working folder.
    init(_ path: String) {
        self.path = path.hasPrefix("/") ? path : "\(FileManager.default.currentDirectoryPath)/\(path)"
    }

    /// The token; nil if the file has never been readable. Costs a call of `stat`.
    var token: String? {
        state.withLock { state in
            if let version = FileVersion(path), version != state.version, let token = read() {
                state.version = version
                state.token = token
            }
            return state.token
        }
    }

    /// The first line of the file; nil if the file is empty, too large or not readable.
    private func read() -> String? {
        guard let data = FileManager.default.contents(atPath: path), data.count <= Self.bytesMax else { return nil }
        let line = Self.trimmed(String(decoding: data.prefix { $0 != 0x0A && $0 != 0x0D }, as: UTF8.self))
        return Self.isToken(line) ? line : nil
    }

    /// A text without white space at its ends, which is easily copied with a token.
    static func trimmed(_ text: String) -> String {
        let start = text.drop { $0.isWhitespace }
        return String(start.reversed().drop { $0.isWhitespace }.reversed())
    }

    /// Whether a text can be sent as a token: it has visible ASCII characters only.
    static func isToken(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { (0x21...0x7E).contains($0) }
    }
}
