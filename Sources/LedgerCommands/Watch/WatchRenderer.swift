import Ledger
import LedgerWire

/// The renderer of a watched job: takes values and returns lines.
struct WatchRenderer {
    /// The content of a frame.
    struct Scene {
        let job: JobView
        let history: WatchHistory
        /// The state of the connection.
        let connection: Connection
        /// The server's time, for ages.
        let now: Timestamp
        /// The local monotonic time, for rates and remarks.
        let instant: ContinuousClock.Instant
        /// Notes below the indicators: unknown goals and silent executions.
        var notes: [String] = []

        /// The time of an indicator's last advance if it is stalled.
        func stalledSince(_ indicator: Snapshot.Indicator) -> Timestamp? {
            job.stalls?.since(indicator)
        }
    }

    enum Connection: Hashable {
        case live
        /// Lost since a time; the next attempt follows after the given duration.
        case lost(since: ContinuousClock.Instant, retryIn: Duration)
        /// The job has ended.
        case ended
    }

    let style: TerminalStyle

    /// The cells that the name keeps beside the remaining time.
    private static let nameWidthMin = 12

    /// The lines of a frame: one fewer than the terminal has, for the cursor's line.
    ///
    /// If there are more indicators than lines, complete indicators are summarised in one line first, then the last
    /// ones. Notes and the tasks line are shown only if a few indicators fit as well.
    func lines(_ scene: Scene) -> [String] {
        let linesMax = max(1, style.height - 1)
        var head = [title(scene)]
        var foot = connectionProblem(scene).map { [$0] } ?? []
        // On a terminal of a few lines, the indicators are most important.
        if linesMax >= 4 { head.append(tasks(scene)) }
        foot = notes(scene, max: max(0, (linesMax - head.count - foot.count) / 3)) + foot
        let lines = head + indicators(scene, room: linesMax - head.count - foot.count) + foot
        return Array(lines.prefix(linesMax))
    }

    private func notes(_ scene: Scene, max count: Int) -> [String] {
        scene.notes.prefix(count).map { render(TerminalText.cut("  " + text($0), to: style.width, style), .yellow) }
    }

    /// The lines of the indicators that fit into the room.
    private func indicators(_ scene: Scene, room: Int) -> [String] {
        guard room > 0 else { return [] }
        let snapshot = scene.job.snapshot
        guard !snapshot.indicators.isEmpty else { return [render("  no units declared", .dim)] }
        if snapshot.indicators.count <= room {
            let columns = Columns(snapshot.indicators, style)
            let blocks = snapshot.indicators.map { block($0, columns, scene) }
            if blocks.reduce(0, { $0 + $1.count }) <= room { return blocks.flatMap { $0 } }
        }
        return fit(snapshot.indicators, room: room, scene)
    }

    /// Some of the indicators, open ones first, and a line that counts the others.
    ///
    /// The note below the last indicator may be left out. If there is room for one line, it is an indicator.
    private func fit(_ indicators: [Snapshot.Indicator], room: Int, _ scene: Scene) -> [String] {
        let isComplete = indicators.map { $0.status(isStalled: false) == .complete }
        let candidates = indicators.indices.filter { !isComplete[$0] } + indicators.indices.filter { isComplete[$0] }
        // No more indicators can be shown than there are lines.
        let columns = Columns(candidates.prefix(room).map { indicators[$0] }, style)
        var blocks: [(index: Int, lines: [String])] = []
        var free = room
        for (position, index) in candidates.enumerated() {
            let reserved = position == candidates.count - 1 || room == 1 ? 0 : 1
            guard free > reserved else { break }
            let lines = Array(block(indicators[index], columns, scene).prefix(free - reserved))
            blocks.append((index, lines))
            free -= lines.count
        }
        let left = candidates.dropFirst(blocks.count)
        let complete = left.count { isComplete[$0] }
        let more = left.count > complete ? ["\(left.count - complete) more"] : []
        let rest = more + (complete > 0 ? ["\(complete) complete"] : [])
        let lines = blocks.sorted { $0.index < $1.index }.flatMap(\.lines)
        return rest.isEmpty || free == 0 ? lines : lines + [render("  + " + rest.joined(separator: ", "), .dim)]
    }

    // MARK: The job

    private func title(_ scene: Scene) -> String {
        let snapshot = scene.job.snapshot
        let start = snapshot.startedAt ?? scene.job.createdAt
        let end = snapshot.finishedAt ?? scene.now
        let elapsed = WatchMessages.duration(.microseconds(end.microseconds - start.microseconds))
        let percent = snapshot.percent.map { "  \($0)%" } ?? ""
        var rest = "  \(snapshot.state.rawValue)\(percent)  \(elapsed)"
        if let left = RemainingText.text(scene.job.estimate, now: scene.now, isPlain: !style.hasUnicode),
            rest.count + left.count + Self.nameWidthMin + 2 <= style.width
        {
            rest += "  \(left)"
        }
        let name = text(VisibleText.escape(scene.job.description.name.text))
        let nameWidth = max(4, style.width - rest.count)
        return render(TerminalText.cut(name, to: nameWidth, style), .bold)
            + render(TerminalText.cut(rest, to: style.width - 4, style), snapshot.state.color)
    }

    private func tasks(_ scene: Scene) -> String {
        let tasks = scene.job.snapshot.tasks
        var parts = ["\(tasks.running) running", "\(tasks.succeeded) done"]
        if tasks.failed > 0 { parts.append("\(tasks.failed) failed") }
        if tasks.canceled > 0 { parts.append("\(tasks.canceled) canceled") }
        if tasks.abandoned > 0 { parts.append("\(tasks.abandoned) abandoned") }
        if scene.job.snapshot.idleSince != nil { parts.append("idle: all tasks have ended") }
        if tasks.supersededExecutions > 0 { parts.append("\(tasks.supersededExecutions) retried") }
        if scene.job.ledgerSequence > scene.job.snapshot.sequence {
            parts.append("\(Count(scene.job.ledgerSequence - scene.job.snapshot.sequence, "event")) behind")
        }
        if let updated = scene.job.snapshot.updatedAt, scene.job.snapshot.state == .running {
            let age = WatchMessages.duration(.microseconds(scene.now.microseconds - updated.microseconds))
            parts.append("changed \(age) ago")
        }
        let line = "  " + parts.joined(separator: style.hasUnicode ? " · " : ", ")
        return render(TerminalText.cut(line, to: style.width, style), .dim)
    }

    private func connectionProblem(_ scene: Scene) -> String? {
        guard case .lost(let since, let retryIn) = scene.connection else { return nil }
        let line =
            "! connection lost \(WatchMessages.duration(since.duration(to: scene.instant))) ago: the numbers are from then; "
            + "retrying in \(WatchMessages.duration(retryIn + .milliseconds(999)))"
        return render(TerminalText.cut(line, to: style.width, style), .red)
    }

    // MARK: Indicators

    /// The column widths of the indicators' lines.
    ///
    /// If a line is too narrow, the rate is left out first, then the bar, then the numbers.
    struct Columns: Hashable {
        private(set) var label: Int
        private(set) var bar = 0
        let percent = 5
        private(set) var count: Int
        private(set) var rate = 0

        init(_ indicators: [Snapshot.Indicator], _ style: TerminalStyle) {
            let labels = indicators.map { TerminalText.cells(WatchMessages.label($0.label, style)) }.max() ?? 0
            label = min(labels, max(6, style.width * 3 / 10))
            count = indicators.map { TerminalText.cells(WatchMessages.count($0, style)) }.max() ?? 0
            // Two cells at the left, and one before each column.
            var rest = style.width - 2 - label - 1 - percent - 1 - count
            if rest >= 26 {
                rate = 10
                rest -= 11
            }
            bar = rest >= 9 ? min(40, rest - 1) : 0
            if rest < 0, label + rest < 6 {
                rest += count + 1
                count = 0
            }
            if rest < 0 { label = max(1, label + rest) }
        }
    }

    /// The line of an indicator, with a second line if its note does not fit.
    private func block(_ indicator: Snapshot.Indicator, _ columns: Columns, _ scene: Scene) -> [String] {
        let status = indicator.status(isStalled: scene.stalledSince(indicator) != nil)
        let color = color(status)
        var line = "  " + TerminalText.pad(WatchMessages.label(indicator.label, style), to: columns.label, style) + " "
        if columns.bar > 0 { line += render(bar(indicator, status, columns.bar), color) + " " }
        let percent = indicator.percent.map { $0 > 9_999 ? ">9999" : "\($0)%" } ?? "-"
        line += render(TerminalText.pad(percent, to: columns.percent, right: true, style), color)
        if columns.count > 0 {
            line += " " + TerminalText.pad(WatchMessages.count(indicator, style), to: columns.count, right: true, style)
        }
        let isLive = status == .moving || status == .unknown
        let rate =
            isLive
            ? WatchMessages.rate(scene.history.rate(indicator.label, now: scene.instant), of: indicator.unit) : ""
        if columns.rate > 0 { line += " " + TerminalText.pad(rate, to: columns.rate, right: true, style) }
        guard let note = note(indicator, status, columns, scene) else { return [line] }
        return note.isBeside ? [line + note.text] : [line, note.text]
    }

    /// The note of an indicator: beside it if there is room, else below it.
    private func note(
        _ indicator: Snapshot.Indicator, _ status: Snapshot.Indicator.Status, _ columns: Columns, _ scene: Scene
    ) -> (text: String, isBeside: Bool)? {
        let remark = scene.history.remark(indicator.label, now: scene.instant)
        let status = (
            note: WatchMessages.note(
                indicator, status, stalledSince: scene.stalledSince(indicator), at: scene.now),
            isWarning: status == .stalled || status == .over
        )
        let message = indicator.message.map { VisibleText.escape($0.firstLine) } ?? ""
        let words = text(
            remark?.text ?? [status.note, message].filter { !$0.isEmpty }.joined(separator: ": "))
        guard !words.isEmpty else { return nil }
        let color: TerminalColor =
            remark.map { $0.isDecrease ? .red : .magenta } ?? (status.isWarning ? .yellow : .dim)
        let used =
            2 + columns.label + 1 + (columns.bar > 0 ? columns.bar + 1 : 0) + columns.percent
            + (columns.count > 0 ? columns.count + 1 : 0)
            + (columns.rate > 0 ? columns.rate + 1 : 0)
        let room = style.width - used - 2
        if TerminalText.cells(words) <= room { return ("  " + render(words, color), true) }
        return ("    " + render(TerminalText.cut(words, to: max(1, style.width - 4), style), color), false)
    }

    private func color(_ status: Snapshot.Indicator.Status) -> TerminalColor {
        switch status {
        case .complete: .green
        case .stalled, .over: .yellow
        case .moving, .unknown: .blue
        case .waiting, .empty: .dim
        }
    }

    /// The bar of an indicator.
    ///
    /// Each status has its own fill characters, so that none depends on colour.
    private func bar(
        _ indicator: Snapshot.Indicator, _ status: Snapshot.Indicator.Status, _ width: Int
    ) -> String {
        let filled = Int(min(max(indicator.percent ?? 0, 0), 100)) * width / 100
        func bar(_ full: Character, _ empty: Character) -> String {
            String(repeating: full, count: filled) + String(repeating: empty, count: width - filled)
        }
        switch (status, style.hasUnicode) {
        case (.complete, true), (.moving, true), (.waiting, true): return bar("█", "░")
        case (.complete, false), (.moving, false), (.waiting, false): return bar("#", ".")
        case (.stalled, true): return bar("▒", "░")
        case (.stalled, false): return bar("=", ".")
        case (.over, true): return String(repeating: "█", count: width - 1) + "▶"
        case (.over, false): return String(repeating: "#", count: width - 1) + ">"
        case (.unknown, true): return String((0..<width).map { $0.isMultiple(of: 3) ? "▪" : " " })
        case (.unknown, false): return String((0..<width).map { $0.isMultiple(of: 3) ? "+" : " " })
        case (.empty, _): return String(repeating: " ", count: width)
        }
    }

    // MARK: Text

    /// A caller's text as the terminal can show it.
    private func text(_ text: String) -> String { style.hasUnicode ? text : TerminalText.ascii(text) }

    private func render(_ text: String, _ color: TerminalColor) -> String { color.render(text, style) }
}
