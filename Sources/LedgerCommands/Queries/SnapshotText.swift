import Ledger
import LedgerWire

/// A snapshot as text, for people and for scripts.
enum SnapshotText {
    /// The name of the indicator without a label.
    static let unlabeled = "(default)"

    /// A line `label: done/total` for each indicator, in their order.
    ///
    /// Scripts may rely on this format.
    static func lines(_ progress: [Snapshot.Indicator]) -> [String] {
        progress.map(line)
    }

    private static func line(_ indicator: Snapshot.Indicator) -> String {
        "\(label(indicator)): \(indicator.counted.done)/\(indicator.counted.total)"
    }

    /// The numbers of an indicator with its unit.
    private static func count(_ indicator: Snapshot.Indicator) -> String {
        VisibleText.escape(UnitText.progress(indicator.counted, of: indicator.unit))
    }

    /// As many indicators as fit into a width, and the number of the others.
    static func summary(_ progress: [Snapshot.Indicator], width: Int) -> String {
        var summary = ""
        for (index, indicator) in progress.enumerated() {
            let next = "\(index == 0 ? "" : "  ")\(label(indicator)): \(count(indicator))"
            let rest = progress.count - index - 1
            let more = rest == 0 ? "" : "  + \(rest) more"
            if index > 0, TerminalText.cells(summary) + TerminalText.cells(next) + more.utf8.count > width {
                return "\(summary)  + \(rest + 1) more"
            }
            summary += next
        }
        return summary
    }

    /// The indicators with bars, for a terminal.
    static func bars(_ progress: [Snapshot.Indicator], _ style: TerminalStyle) -> [String] {
        func text(_ indicator: Snapshot.Indicator) -> String {
            shown(label(indicator), style)
        }
        let counts = progress.map { shown(count($0), style) }
        let countWidth = counts.map { TerminalText.cells($0) }.max() ?? 0
        let numbers = zip(progress, counts).map { indicator, count in
            let percent = indicator.percent.map { "\($0) %" } ?? "no total"
            return TerminalText.pad(count, to: countWidth, right: true, style)
                + TerminalText.pad(percent, to: max(10, 2 + percent.utf8.count), right: true, style)
        }
        let room = style.width - 4 - (numbers.map { TerminalText.cells($0) }.max() ?? 0)
        let labels = progress.map { TerminalText.cells(text($0)) }.max() ?? 0
        let labelWidth = min(labels, max(6, room / 2))
        let barWidth = min(30, max(0, room - labelWidth))
        return zip(progress, numbers).flatMap { indicator, numbers in
            let label = TerminalText.pad(text(indicator), to: labelWidth, style)
            let line = "\(label)  \(bar(indicator.percent, barWidth, style))  \(numbers)"
            guard let message = indicator.message.map({ shown(VisibleText.escape($0.firstLine), style) }) else {
                return [TerminalText.cut(line, to: style.width, style)]
            }
            // A message of which little would be left is below the bar.
            if TerminalText.cells(line) + 2 + min(TerminalText.cells(message), messageWidthMin) <= style.width {
                return [TerminalText.cut("\(line)  \(message)", to: style.width, style)]
            }
            return [line, "    \(message)"].map { TerminalText.cut($0, to: style.width, style) }
        }
    }

    /// The cells of a message that must fit beside its bar.
    private static let messageWidthMin = 24

    /// A text as the terminal can show it.
    private static func shown(_ text: String, _ style: TerminalStyle) -> String {
        style.hasUnicode ? text : TerminalText.ascii(text)
    }

    /// The description of a job above its indicators.
    ///
    /// - Parameter silent: The silent executions.
    static func header(_ job: JobView, _ style: TerminalStyle, silent: [SilentExecution] = []) -> [String] {
        let tasks = job.snapshot.tasks
        var lines = ["\(VisibleText.escape(job.description.name.text))  \(job.snapshot.state.rawValue)"]
        lines.append("job      \(job.id)")
        if let key = job.description.key { lines.append("key      \(VisibleText.escape(key.text))") }
        if !job.description.tags.isEmpty {
            let tags = job.description.sortedTags.map { "\($0.name)=\($0.value)" }.joined(separator: "  ")
            lines.append("tags     \(VisibleText.escape(tags))")
        }
        if let updated = job.snapshot.updatedAt { lines.append("updated  \(RFC3339.text(updated))") }
        let states = TaskState.allCases.filter { tasks[$0] > 0 }.map { "\(tasks[$0]) \($0.rawValue)" }
        var counts = "tasks    \(tasks.total)" + (states.isEmpty ? "" : ": \(states.joined(separator: ", "))")
        if tasks.supersededExecutions > 0 {
            counts += "; \(Count(tasks.executions, "execution")), \(tasks.supersededExecutions) superseded"
        }
        lines.append(counts)
        if let message = job.snapshot.message {
            lines.append(
                "message  \(TerminalText.cut(VisibleText.escape(message.firstLine), to: max(1, style.width - 9), style))"
            )
        }
        if let since = job.snapshot.idleSince {
            lines.append("idle     since \(RFC3339.text(since)): all tasks have ended, the job has not")
        }
        if job.ledgerSequence > job.snapshot.sequence {
            lines.append("behind   \(Count(job.ledgerSequence - job.snapshot.sequence, "event")) not counted yet")
        }
        if let since = job.stalls?.since {
            let age = job.now.map {
                " (\(WatchMessages.duration(.microseconds($0.microseconds - since.microseconds))))"
            }
            lines.append("stalled  since \(RFC3339.text(since))\(age ?? "")")
        }
        lines += SilentExecution.lines(silent, max: 5).map { "silent   \($0)" }
        return style.hasUnicode ? lines : lines.map(TerminalText.ascii)
    }

    private static func label(_ indicator: Snapshot.Indicator) -> String {
        indicator.label.map { VisibleText.escape($0.text) } ?? unlabeled
    }

    private static func bar(_ percent: Int128?, _ width: Int, _ style: TerminalStyle) -> String {
        let filled = Int(min(max(percent ?? 0, 0), 100)) * width / 100
        return String(repeating: style.hasUnicode ? "█" : "#", count: filled)
            + String(repeating: style.hasUnicode ? "░" : ".", count: width - filled)
    }
}
