import Ledger
import LedgerWire

/// The list of jobs as a table.
enum JobsTable {
    /// The width of the progress column, in cells, if no terminal limits it.
    private static let progressWidth = 160
    /// The minimum width of the progress column: a number that is cut is useless.
    private static let progressWidthMin = 24
    /// The width from which on intervals and labels are shown.
    ///
    /// They are those of remaining times and of rates.
    private static let wide = 110

    /// Lays the table out.
    ///
    /// On a terminal it has short ids and ages, and fits the width; elsewhere whole ids and times.
    ///
    /// - Parameter now: The server's time. Without it, there are times instead of ages, and no remaining times.
    static func layout(_ jobs: [JobView], _ style: TerminalStyle?, now: Timestamp?) -> Table.Layout {
        let layout = table(jobs, style, now, progressWidth: style == nil ? progressWidth : nil).layout(style)
        guard let style, layout.hidden.isEmpty else { return layout }
        // The indicators have what the other columns leave.
        var plain = style
        plain.hasColor = false
        let used = table(jobs, style, now, progressWidth: nil).lines(plain).map { TerminalText.cells($0) }.max() ?? 0
        let room = style.width - used - 2
        guard room >= progressWidthMin, jobs.contains(where: { !$0.snapshot.indicators.isEmpty }) else { return layout }
        return table(jobs, style, now, progressWidth: room).layout(style)
    }

    private static func table(
        _ jobs: [JobView], _ style: TerminalStyle?, _ now: Timestamp?, progressWidth: Int?
    ) -> Table {
        let isWide = style.map { $0.width >= wide } ?? true
        let idLength = style == nil ? nil : JobIDPrefix.shownLength(of: jobs.map(\.id))
        let showsAges = style != nil && now != nil
        var columns: [(title: String, alignment: Table.Alignment)] = [
            ("JOB", .whole), ("STATE", .whole), ("DONE", .right), ("FAILED", .right), ("RATE", .right),
            ("FINISH", .whole), (showsAges ? "AGE" : "CREATED", .whole),
        ]
        if progressWidth != nil { columns.append(("PROGRESS", .left)) }
        columns.append(("NAME", .left))
        var table = Table(columns)
        let hasFailures = jobs.contains { $0.snapshot.tasks.failed > 0 }
        table.optional = ["RATE", "AGE"] + (hasFailures ? ["FINISH", "DONE"] : ["FAILED", "FINISH", "DONE"])
        table.cutsLines = true
        for job in jobs {
            let snapshot = job.snapshot
            let state = Self.state(job, now: showsAges ? now : nil)
            let id = job.id.description
            var cells: [String] = [
                idLength.map { String(id.prefix($0)) } ?? id, state.text, snapshot.percent.map { "\($0)%" } ?? "-",
                "\(snapshot.tasks.failed)/\(snapshot.tasks.total)", rate(job, showsLabel: isWide),
                finish(job, style, now, showsInterval: isWide),
                showsAges ? age(job.createdAt, now) : RFC3339.text(job.createdAt),
            ]
            if let progressWidth { cells.append(SnapshotText.summary(snapshot.indicators, width: progressWidth)) }
            cells.append(job.description.name.text)
            table.add(
                cells,
                colors: [
                    "STATE": state.color, "FAILED": snapshot.tasks.failed > 0 ? .red : .plain,
                    "FINISH": isLate(job, now: now) ? .yellow : .plain,
                ])
        }
        return table
    }

    /// The state, or since when a running job is stalled or idle.
    ///
    /// A retired job is `retired`.
    private static func state(_ job: JobView, now: Timestamp?) -> (text: String, color: TerminalColor) {
        let state = job.snapshot.state
        if state == .running, let now {
            if let since = job.snapshot.idleSince { return ("idle \(age(since, now))", .dim) }
            if let since = job.stalls?.since { return ("stalled \(age(since, now))", .yellow) }
        }
        return (job.listedState, state.color)
    }

    /// The rate of the indicator that the job waits for.
    ///
    /// If it waits for none, that of the first one that moves.
    private static func rate(_ job: JobView, showsLabel: Bool) -> String {
        guard job.snapshot.state == .running, let estimate = job.estimate else { return "" }
        let open = job.snapshot.indicators.filter { ($0.percent ?? 0) < 100 }
        let awaited = estimate.estimate.waitingFor.flatMap { waiting in open.first { $0.label == waiting.label } }
        let moving = open.first { estimate.paces[$0.label].map { $0.rate > 0 } ?? false }
        guard let indicator = awaited ?? moving, let pace = estimate.paces[indicator.label] else { return "" }
        let rate = WatchMessages.rate(pace.rate, of: indicator.unit)
        guard showsLabel, !rate.isEmpty, job.snapshot.indicators.count > 1 else { return rate }
        return "\(rate) \(indicator.label?.text ?? SnapshotText.unlabeled)"
    }

    /// The remaining time of a running job, or since when another one has ended.
    private static func finish(
        _ job: JobView, _ style: TerminalStyle?, _ now: Timestamp?, showsInterval: Bool
    ) -> String {
        if let end = job.snapshot.finishedAt {
            return style != nil && now != nil ? "\(age(end, now)) ago" : RFC3339.text(end)
        }
        let isPlain = style.map { !$0.hasUnicode } ?? false
        let words = now.flatMap { RemainingText.text(job.estimate, now: $0, isPlain: isPlain) } ?? ""
        // In a narrow window, the interval would leave no room for the name.
        let shown = showsInterval ? words : String(words.prefix { $0 != "(" }.dropLast(words.contains("(") ? 1 : 0))
        return [shown, isLate(job, now: now) ? "late" : ""].filter { !$0.isEmpty }.joined(separator: ", ")
    }

    /// Whether a job will probably miss its deadline.
    private static func isLate(_ job: JobView, now: Timestamp?) -> Bool {
        guard let now, let deadline = job.description.deadline else { return false }
        return Lateness(job, deadline: deadline, usual: nil, now: now) != nil
    }

    private static func age(_ moment: Timestamp, _ now: Timestamp?) -> String {
        now.map { WatchMessages.age(of: moment, at: $0) } ?? ""
    }
}
