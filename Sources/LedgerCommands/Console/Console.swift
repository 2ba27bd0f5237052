import FoundationEssentials
import Glibc

/// Standard output, for data, and standard error, for messages.
struct Console: Sendable {
    /// Whether standard output is a terminal.
    let isTerminal: Bool
    /// Whether the environment names a terminal that understands escape sequences.
    let supportsEscapes: Bool

    /// The streams of this process.
    static let standard = Console(
        isTerminal: isatty(STDOUT_FILENO) == 1,
        supportsEscapes: supportsEscapes(environment: ProcessInfo.processInfo.environment))

    /// Whether lines on standard output can be overwritten.
    var canRedraw: Bool { isTerminal && supportsEscapes }

    /// The terminal's capabilities; nil if standard output is not a terminal.
    var style: TerminalStyle? {
        isTerminal ? Screen.style(environment: ProcessInfo.processInfo.environment) : nil
    }

    static func supportsEscapes(environment: [String: String]) -> Bool {
        !["", "dumb"].contains(environment["TERM"] ?? "")
    }

    /// Writes a line to standard output without buffering.
    ///
    /// A JSON document may contain characters that control a terminal. They are escaped here, for all commands.
    func print(_ line: String) {
        write(VisibleText.escapeJSON(line) + "\n", to: STDOUT_FILENO)
    }

    /// Writes lines to standard output.
    func print(_ lines: [String]) {
        for line in lines { print(line) }
    }

    /// Writes a table, and names hidden columns on standard error.
    ///
    /// A narrow terminal does not show all columns.
    func print(_ table: Table.Layout) {
        print(table.lines)
        guard !table.hidden.isEmpty else { return }
        printToError("Too narrow for: \(table.hidden.joined(separator: ", ")). --json has all.")
    }

    /// Writes a line of bytes to standard output, with the same escaping.
    func print(_ line: [UInt8]) {
        print(String(decoding: line, as: UTF8.self))
    }

    /// Writes text to standard output unchanged.
    func write(_ text: String) {
        write(text, to: STDOUT_FILENO)
    }

    /// Writes a line to standard error.
    func printToError(_ line: String) {
        write(line + "\n", to: STDERR_FILENO)
    }

    /// Writes text to standard error unchanged.
    func writeToError(_ text: String) {
        write(text, to: STDERR_FILENO)
    }

    /// Writes all bytes, and blocks while the reader of a pipe is slow.
    private func write(_ text: String, to descriptor: Int32) {
        var text = text
        text.withUTF8 { bytes in
            var rest = UnsafeRawBufferPointer(bytes)[...]
            while !rest.isEmpty {
                let count = Glibc.write(descriptor, rest.base, rest.count)
                if count >= 0 {
                    rest = rest.dropFirst(count)
                } else if errno == EPIPE {
                    // The reader has closed the pipe, as in `… | head`. End by the signal, as other programs do: the
                    // network library made this process ignore it.
                    signal(SIGPIPE, SIG_DFL)
                    raise(SIGPIPE)
                } else if errno != EINTR {
                    let reason = String(cString: strerror(errno))
                    if descriptor == STDOUT_FILENO {
                        printToError("progress-ledger: cannot write to standard output: \(reason).")
                    }
                    exit(ExitStatus.failed.rawValue)
                }
            }
        }
    }
}

extension Slice<UnsafeRawBufferPointer> {
    fileprivate var base: UnsafeRawPointer? { UnsafeRawBufferPointer(rebasing: self).baseAddress }
}
