import Ledger
import LedgerWire

/// An event as the cells of a table row.
enum EventText {
    /// A table of events, with a column for reporters if one of them has a reporter.
    static func table(_ events: [ExplainedEvent]) -> Table {
        let hasReporters = events.contains { $0.event.reporter != nil }
        var table = Table(
            [
                ("SEQUENCE", .right), ("RECORDED", .whole), ("TYPE", .whole), ("TASK", .left), ("EXECUTION", .left),
                ("ATTEMPT", .right), ("CHANGE", .left), ("VERDICT", .whole),
            ] + (hasReporters ? [("REPORTER", .left)] : []))
        for event in events { table.add(cells(event) + (hasReporters ? [event.event.reporter?.text ?? ""] : [])) }
        return table
    }

    static func cells(_ explained: ExplainedEvent) -> [String] {
        let event = explained.event
        return [
            String(event.sequence), RFC3339.text(event.recordedAt), event.body.type.name,
            event.body.reference?.task.text ?? "", explained.execution?.text ?? "",
            explained.attempt.map(String.init) ?? "", change(event.body), verdict(explained),
        ]
    }

    private static func change(_ body: EventBody) -> String {
        switch body {
        case .jobCreated(let description): return description.name.text
        case .executionStarted: return ""
        case .executionFinished(_, let outcome): return outcome.rawValue
        case .jobFinished(let outcome): return outcome.rawValue
        case .progress(let progress):
            var parts = [progress.label?.text ?? SnapshotText.unlabeled]
            if let total = progress.total { parts.append("total +\(total)") }
            if let done = progress.done { parts.append("done +\(done)") }
            if let report = progress.report { parts.append("report \(report)") }
            return parts.joined(separator: " ")
        }
    }

    private static func verdict(_ event: ExplainedEvent) -> String {
        guard let verdict = event.verdict else { return "not folded yet" }
        if let original = event.duplicateOf { return "\(verdict.rawValue) of \(original)" }
        return event.late ? "\(verdict.rawValue), late" : verdict.rawValue
    }
}
