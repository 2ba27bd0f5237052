import Ledger
import LedgerWire
import ProgressLedgerClient

/// The state of a watched job, and the decision when watching ends.
actor WatchSession {
    /// A line to print if the output is not a terminal.
    enum Print: Sendable {
        case line(String)
        case note(String)
    }

    private let end: WatchEnd
    private let isJSON: Bool
    private let now: @Sendable () -> ContinuousClock.Instant
    private var history: WatchHistory
    private var lines: WatchLines
    private var job: JobView?
    /// The server's clock; the viewer's clock may be wrong.
    private var clock: ServerClock?
    private var silent: [SilentExecution] = []
    private var connection = WatchRenderer.Connection.live

    /// Creates the state before the first snapshot.
    ///
    /// - Parameter now: The viewer's clock, for rates, time limits and the time since a response of the server.
    init(
        end: WatchEnd, isJSON: Bool, width: Int = WatchLines.defaultWidth,
        now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }
    ) {
        self.now = now
        history = WatchHistory(now: now())
        lines = WatchLines(width: width)
        self.end = end
        self.isJSON = isJSON
    }

    /// Adds a snapshot; returns decreases, lines to print and a goal's exit code.
    ///
    /// - Parameter clock: The server's clock; nil if the server did not send it.
    func receive(
        _ next: JobView, json: String, clock: ServerClock? = nil
    ) -> (decreases: [WatchHistory.Decrease], prints: [Print], status: ExitStatus?) {
        let now = self.now()
        var prints: [Print] = []
        if case .lost = connection { prints.append(.note("The connection is back.")) }
        connection = .live
        // After a crash of PostgreSQL a snapshot may be older than the one before. That is not a decrease.
        if let job, next.snapshot.sequence < job.snapshot.sequence { return ([], prints, nil) }
        if job?.snapshot.indicators.isEmpty ?? true, !next.snapshot.indicators.isEmpty {
            prints += end.remarks(on: next.snapshot).map { .note(VisibleText.escapeLines($0)) }
        }
        job = next
        self.clock = clock ?? ServerClock(moment: next.snapshot.updatedAt ?? next.createdAt, readAt: now)
        if !next.hasSilentExecutions { silent = [] }
        let decreases = history.add(next, now: now)
        let status = end.status(after: next.snapshot)
        if isJSON {
            prints.append(.line(json))
        } else if let line = lines.line(next, silent: silentLines, now: now, isLast: status != nil) {
            prints.append(.line(line))
        }
        return (decreases, prints, status)
    }

    /// Adds the cause of a decrease to the next line.
    func explain(_ difference: SnapshotDiff) {
        for line in history.explain(difference, now: now()) { lines.addRemark(line) }
    }

    /// Replaces the silent executions.
    func receive(silent: [SilentExecution]) { self.silent = silent }

    /// Whether an execution is silent, so that a request is useful.
    var hasSilentExecutions: Bool { job?.hasSilentExecutions ?? false }

    /// The line that is due without a new snapshot.
    func dueLine() -> [Print] {
        guard let job, !isJSON, connection == .live else { return [] }
        return lines.line(job, silent: silentLines, now: now()).map { [.line($0)] } ?? []
    }

    private var stalledLines: [String] {
        guard let since = job?.stalls?.since, let clock else { return [] }
        let age = Duration.microseconds(clock.now(at: now()).microseconds - since.microseconds)
        return ["stalled: no unit was done for \(WatchMessages.duration(age))"]
    }

    private var silentLines: [String] { SilentExecution.lines(silent, max: 3) }

    func connectionLost(_ error: LedgerClientError, retryIn: Duration) -> [Print] {
        let since: ContinuousClock.Instant
        let isNew: Bool
        if case .lost(let before, _) = connection {
            (since, isNew) = (before, false)
        } else {
            (since, isNew) = (now(), true)
        }
        connection = .lost(since: since, retryIn: retryIn)
        return isNew
            ? [.note("The connection is lost; retrying: \(VisibleText.escapeLines(error.message))")] : []
    }

    /// Handles the end of the job.
    func finish() -> (prints: [Print], status: ExitStatus) {
        connection = .ended
        guard let job else { return ([], .done) }
        let line = isJSON ? nil : lines.line(job, now: now(), isLast: true)
        return (line.map { [.line($0)] } ?? [], end.status(atEndOf: job.snapshot))
    }

    /// Whether the job is stalled; unknown, and false, while the connection is lost.
    func isStalled() -> Bool {
        guard case .live = connection, job != nil else { return false }
        return end.isStalled(since: history.advancedAt, now: now())
    }

    /// Whether the job has been idle for the timeout.
    ///
    /// Unknown, and false, while the connection is lost.
    func isIdle() -> Bool {
        guard case .live = connection, let job, let clock else { return false }
        return end.isIdle(job.snapshot, now: clock.now(at: now()))
    }

    /// The frame for a terminal now; nil before the first snapshot.
    func frame(_ style: TerminalStyle) -> (lines: [String], taskbar: TaskbarState)? {
        guard let job, let clock else { return nil }
        let remarks = job.snapshot.indicators.isEmpty ? [] : end.remarks(on: job.snapshot).map(VisibleText.escape)
        let scene = WatchRenderer.Scene(
            job: job, history: history, connection: connection, now: clock.now(at: now()), instant: now(),
            notes: remarks + stalledLines + silentLines)
        return (WatchRenderer(style: style).lines(scene), taskbar(job.snapshot))
    }

    private func taskbar(_ snapshot: Snapshot) -> TaskbarState {
        if snapshot.state == .failed { return .failed }
        guard let percent = snapshot.percent else { return .unknown }
        if case .lost = connection { return .paused(percent) }
        return .progress(percent)
    }
}
