import FoundationEssentials
import Glibc

/// Shows the progress of a long operation on standard error.
///
/// On a terminal a bar is redrawn in place. Otherwise a line is written every five seconds.
final class ProgressBarRenderer {
    /// The name of the counted units, such as `events`.
    private let unit: String
    private let isTerminal: Bool
    private let width = 30
    private let started = ContinuousClock.now
    private var drawnAt: ContinuousClock.Instant?
    /// The minimum time between two updates of a terminal and of a log.
    private static let intervals: (terminal: Duration, log: Duration) = (.milliseconds(200), .seconds(5))
    private var isDrawn = false

    init(unit: String, isTerminal: Bool = isatty(STDERR_FILENO) == 1 && Console.standard.supportsEscapes) {
        self.unit = unit
        self.isTerminal = isTerminal
    }

    /// Shows the current progress.
    func show(done: Int64, total: Int64, _ remark: String = "") {
        let style = Screen.style(environment: ProcessInfo.processInfo.environment, of: STDERR_FILENO)
        let line = Self.line(
            done: done, total: total, unit: unit, elapsed: started.duration(to: .now), width: isTerminal ? width : 0,
            style)
        let text = remark.isEmpty ? line : "\(line)  \(VisibleText.escape(remark))"
        let now = ContinuousClock.now
        guard isTerminal else {
            guard (drawnAt ?? started).duration(to: now) >= Self.intervals.log else { return }
            drawnAt = now
            return Console.standard.printToError(text)
        }
        if let drawnAt, drawnAt.duration(to: now) < Self.intervals.terminal, done < total { return }
        drawnAt = now
        isDrawn = true
        // A line that wraps could be erased only in part.
        Console.standard.writeToError("\r\u{1B}[K\(TerminalText.cut(text, to: style.width - 1, style))")
    }

    /// Erases the bar, so that the next output begins on an empty line.
    func clear() {
        guard isDrawn else { return }
        isDrawn = false
        Console.standard.writeToError("\r\u{1B}[K")
    }

    /// The text of a progress line; the percentage is rounded down.
    static func line(
        done: Int64, total: Int64, unit: String, elapsed: Duration, width: Int, _ style: TerminalStyle = TerminalStyle()
    ) -> String {
        let percent = total == 0 ? 100 : Int(min(100, done * 100 / total))
        let filled = percent * width / 100
        let bar =
            String(repeating: style.hasUnicode ? "█" : "#", count: filled)
            + String(repeating: style.hasUnicode ? "░" : ".", count: width - filled)
        return (width > 0 ? "\(bar)  " : "")
            + "\(percent) %  \(done)/\(total) \(unit)  \(elapsed.components.seconds) s"
    }
}
