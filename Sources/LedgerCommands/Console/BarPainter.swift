import Glibc

/// Says on standard error how far something is that takes its time: a bar that is painted over on a terminal, and
/// otherwise a line for each tenth.
final class BarPainter {
    /// What is counted, such as `events`.
    private let unit: String
    private let isTerminal: Bool
    private let width = 30
    private let started = ContinuousClock.now
    private var paintedAt: ContinuousClock.Instant?
    private var lastTenth: Int64 = -1
    private var isPainted = false

    init(unit: String, isTerminal: Bool = isatty(STDERR_FILENO) == 1) {
        self.unit = unit
        self.isTerminal = isTerminal
    }

    /// So many are done; five times a second at most a terminal is painted.
    func show(done: Int64, total: Int64, _ remark: String = "") {
        let line = Self.line(
            done: done, total: total, unit: unit, elapsed: started.duration(to: .now), width: isTerminal ? width : 0)
        let text = remark.isEmpty ? line : "\(line)  \(VisibleText.escape(remark))"
        guard isTerminal else {
            let tenth = total == 0 ? 10 : done * 10 / total
            guard tenth > lastTenth else { return }
            lastTenth = tenth
            return Console.standard.note(text)
        }
        if let paintedAt, paintedAt.duration(to: .now) < .milliseconds(200), done < total { return }
        paintedAt = .now
        isPainted = true
        Console.standard.noteRaw("\r\u{1B}[K\(text)")
    }

    /// Takes the bar off the screen, so that what is said next stands on a line of its own.
    func clear() {
        guard isPainted else { return }
        isPainted = false
        Console.standard.noteRaw("\r\u{1B}[K")
    }

    /// Percent is rounded down.
    static func line(done: Int64, total: Int64, unit: String, elapsed: Duration, width: Int) -> String {
        let percent = total == 0 ? 100 : Int(min(100, done * 100 / total))
        let filled = percent * width / 100
        let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: width - filled)
        return (width > 0 ? "\(bar)  " : "")
            + "\(percent) %  \(done)/\(total) \(unit)  \(elapsed.components.seconds) s"
    }
}
