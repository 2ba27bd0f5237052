import Ledger
import LedgerWire

/// A snapshot as people and scripts read it.
enum SnapshotText {
    /// How the indicator without a label is called.
    static let unlabeled = "(default)"

    /// A line for each indicator, `label: done/total`, in their order: what scripts may rely on.
    static func lines(_ progress: [Snapshot.Indicator]) -> [String] {
        progress.map { "\(label($0)): \($0.counted.done)/\($0.counted.total)" }
    }

    /// The same with bars, for a terminal.
    static func bars(_ progress: [Snapshot.Indicator]) -> [String] {
        let widths = progress.map { label($0).count }
        return zip(progress, widths).map { indicator, width in
            let padding = String(repeating: " ", count: (widths.max() ?? 0) - width)
            let percent = indicator.percent.map { "\($0) %" } ?? "no total"
            return "\(label(indicator))\(padding)  \(bar(indicator.percent))  "
                + "\(indicator.counted.done)/\(indicator.counted.total)  \(percent)"
        }
    }

    /// What a person wants to know of a job before its numbers.
    static func header(_ job: JobAnswer) -> [String] {
        let tasks = job.snapshot.tasks
        var lines = ["\(VisibleText.escape(job.description.name.text))  \(job.snapshot.state.rawValue)"]
        lines.append("job      \(job.id)")
        if let key = job.description.key { lines.append("key      \(VisibleText.escape(key.text))") }
        if !job.description.tags.isEmpty {
            let tags = job.description.sortedTags.map { "\($0.name)=\($0.value)" }.joined(separator: "  ")
            lines.append("tags     \(VisibleText.escape(tags))")
        }
        if let updated = job.snapshot.updatedAt { lines.append("updated  \(RFC3339.text(updated))") }
        lines.append(
            "tasks    \(tasks.total): \(tasks.running) running, \(tasks.succeeded) succeeded, \(tasks.failed) failed, "
                + "\(tasks.canceled) canceled; \(tasks.executions) executions, \(tasks.supersededExecutions) superseded"
        )
        if job.ledgerSequence > job.snapshot.sequence {
            lines.append("behind   \(job.ledgerSequence - job.snapshot.sequence) events are not in the numbers yet")
        }
        return lines
    }

    private static func label(_ indicator: Snapshot.Indicator) -> String {
        indicator.label.map { VisibleText.escape($0.text) } ?? unlabeled
    }

    private static func bar(_ percent: Int128?) -> String {
        let width = 30
        let filled = Int(min(max(percent ?? 0, 0), 100)) * width / 100
        return String(repeating: "█", count: filled) + String(repeating: "░", count: width - filled)
    }
}
