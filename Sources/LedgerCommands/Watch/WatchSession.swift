import Ledger
import LedgerWire
import ProgressLedgerClient

/// What is known of a job that is watched, and when watching ends.
actor WatchSession {
    /// What is to be printed where nobody looks at a terminal.
    enum Print: Sendable {
        case line(String)
        case note(String)
    }

    private let end: WatchEnd
    private let isJSON: Bool
    private var memory = WatchMemory(now: .now)
    private var lines = WatchLines()
    private var job: JobAnswer?
    private var connection = WatchPainter.Connection.live

    init(end: WatchEnd, isJSON: Bool) {
        self.end = end
        self.isJSON = isJSON
    }

    /// Takes a snapshot in: what fell, what to print, and whether that is what was waited for.
    func take(
        _ next: JobAnswer, json: String
    ) -> (falls: [WatchMemory.Fall], prints: [Print], status: ExitStatus?) {
        let now = ContinuousClock.now
        var prints: [Print] = []
        if case .lost = connection { prints.append(.note("The connection is back.")) }
        connection = .live
        // After a crash of PostgreSQL it may be where it was a moment before; nothing has fallen.
        if let job, next.snapshot.sequence < job.snapshot.sequence { return ([], prints, nil) }
        if job?.snapshot.indicators.isEmpty ?? true, !next.snapshot.indicators.isEmpty {
            prints += end.remarks(on: next.snapshot).map { .note(VisibleText.escapeLines($0)) }
        }
        job = next
        let falls = memory.take(next, now: now)
        let status = end.status(after: next.snapshot)
        if isJSON {
            prints.append(.line(json))
        } else if let line = lines.line(next, now: now, isLast: status != nil) {
            prints.append(.line(line))
        }
        return (falls, prints, status)
    }

    /// Takes in why numbers fell; returns it in words.
    func explain(_ difference: Difference) -> [Print] {
        let words = memory.explain(difference, now: .now)
        return isJSON ? [] : words.map { .line("  \($0)") }
    }

    func lose(_ error: LedgerClientError, retryIn: Duration) -> [Print] {
        let since: ContinuousClock.Instant
        let isNew: Bool
        if case .lost(let before, _) = connection {
            (since, isNew) = (before, false)
        } else {
            (since, isNew) = (.now, true)
        }
        connection = .lost(since: since, retryIn: retryIn)
        return isNew
            ? [.note("The connection is lost, and tried again: \(VisibleText.escapeLines(error.message))")] : []
    }

    /// The job has finished.
    func finish() -> (prints: [Print], status: ExitStatus) {
        connection = .ended
        guard let job else { return ([], .done) }
        let line = isJSON ? nil : lines.line(job, now: .now)
        return (line.map { [.line($0)] } ?? [], end.status(atEndOf: job.snapshot))
    }

    /// Whether nothing has advanced for too long. While the connection is lost nobody knows.
    func isStalled() -> Bool {
        guard case .live = connection, job != nil else { return false }
        return end.isStalled(since: memory.advancedAt, now: .now)
    }

    /// What a terminal shows now; nil before the first snapshot.
    func frame(_ style: TerminalStyle, now: Timestamp) -> (lines: [String], taskbar: TaskbarState)? {
        guard let job else { return nil }
        let scene = WatchPainter.Scene(
            job: job, memory: memory, connection: connection, now: now, instant: .now)
        return (WatchPainter(style: style).lines(scene), taskbar(job.snapshot))
    }

    private func taskbar(_ snapshot: Snapshot) -> TaskbarState {
        if snapshot.state == .failed { return .failed }
        guard let percent = snapshot.percent else { return .unknown }
        if case .lost = connection { return .paused(percent) }
        return .progress(percent)
    }
}
