import FoundationEssentials
import Glibc

/// Standard output and standard error. Output is data, error is talk.
struct Console: Sendable {
    /// Whether a person looks at standard output.
    let isTerminal: Bool
    /// Whether the terminals of this process obey escape sequences, as far as the environment says.
    let obeysEscapes: Bool

    /// The process's own.
    static let standard = Console(
        isTerminal: isatty(STDOUT_FILENO) == 1,
        obeysEscapes: obeysEscapes(environment: ProcessInfo.processInfo.environment))

    /// Whether standard output is a terminal on which lines can be painted over.
    var canPaint: Bool { isTerminal && obeysEscapes }

    /// What the terminal can show; nil if standard output is none.
    var style: TerminalStyle? {
        isTerminal ? Screen.style(environment: ProcessInfo.processInfo.environment) : nil
    }

    static func obeysEscapes(environment: [String: String]) -> Bool {
        !["", "dumb"].contains(environment["TERM"] ?? "")
    }

    /// Writes a line to standard output at once, so that the reader of a pipe sees it now.
    ///
    /// A JSON document may contain what a terminal would obey: that is escaped here, for all commands.
    func print(_ line: String) {
        write(VisibleText.escapeJSON(line) + "\n", to: STDOUT_FILENO)
    }

    /// Writes a line that was not looked at to standard output.
    func print(_ line: [UInt8]) {
        print(String(decoding: line, as: UTF8.self))
    }

    /// Writes text to standard output as it is.
    func write(_ text: String) {
        write(text, to: STDOUT_FILENO)
    }

    /// Writes a line to standard error.
    func note(_ line: String) {
        write(line + "\n", to: STDERR_FILENO)
    }

    /// Writes to standard error as it is.
    func noteRaw(_ text: String) {
        write(text, to: STDERR_FILENO)
    }

    /// Blocks while the reader of a pipe takes its time, as a command line should.
    private func write(_ text: String, to descriptor: Int32) {
        var text = text
        text.withUTF8 { bytes in
            var rest = UnsafeRawBufferPointer(bytes)[...]
            while !rest.isEmpty {
                let count = Glibc.write(descriptor, rest.base, rest.count)
                if count >= 0 {
                    rest = rest.dropFirst(count)
                } else if errno == EPIPE {
                    // The reader has gone, as in `… | head`. End as programs do that do not ignore the signal; the
                    // network library made us ignore it.
                    signal(SIGPIPE, SIG_DFL)
                    raise(SIGPIPE)
                } else if errno != EINTR {
                    let reason = String(cString: strerror(errno))
                    if descriptor == STDOUT_FILENO {
                        note("progress-ledger: standard output cannot be written: \(reason).")
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
