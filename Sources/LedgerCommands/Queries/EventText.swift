import Ledger
import LedgerWire

/// An event as the cells of a table row.
enum EventText {
    /// The width of a terminal from which on times are shown in full, and not as ages.
    static let wide = 120

    /// A table of events, with a column for reporters if one of them has a reporter.
    ///
    /// - Parameters:
    ///   - style: The terminal's capabilities; nil if the output is not a terminal.
    ///   - now: The server's time, for ages.
    static func table(_ events: [ExplainedEvent], _ style: TerminalStyle? = nil, now: Timestamp? = nil) -> Table {
        let hasReporters = events.contains { $0.event.reporter != nil }
        let ageNow = style.map { $0.width < wide } ?? false ? now : nil
        var table = Table(
            [
                ("SEQUENCE", .right), (ageNow == nil ? "RECORDED" : "AGE", .whole), ("TYPE", .whole), ("TASK", .left),
                ("EXECUTION", .left), ("ATTEMPT", .right), ("CHANGE", .left), ("VERDICT", .whole),
            ] + (hasReporters ? [("REPORTER", .left)] : []))
        table.optional = ["EXECUTION", "REPORTER", "ATTEMPT"]
        table.cutsLines = true
        for explained in events {
            var cells = Self.cells(explained)
            if let ageNow {
                cells[1] = WatchMessages.age(of: explained.event.recordedAt, at: ageNow)
                cells[2] = shortType(explained.event.body.type)
            }
            let isDiscarded = explained.verdict?.isDiscarded ?? false
            table.add(
                cells + (hasReporters ? [explained.event.reporter?.text ?? ""] : []),
                colors: ["VERDICT": isDiscarded ? .red : explained.verdict == .superseded ? .yellow : .plain])
        }
        return table
    }

    /// The type for a narrow column: that of an execution's event without the noun.
    private static func shortType(_ type: EventType) -> String {
        let prefix = "execution_"
        return type.name.hasPrefix(prefix) ? String(type.name.dropFirst(prefix.count)) : type.name
    }

    static func cells(_ explained: ExplainedEvent) -> [String] {
        let event = explained.event
        return [
            event.sequence.description, RFC3339.text(event.recordedAt), event.body.type.name,
            event.body.reference?.task.text ?? "", explained.execution?.text ?? "",
            explained.attempt.map(String.init) ?? "", change(event), verdict(explained),
        ]
    }

    /// The change by the event, its message and its link.
    private static func change(_ event: Event) -> String {
        let notes = [event.message.map { "“\($0.firstLine)”" }, event.link?.text].compactMap { $0 }
        return ([change(event.body)] + notes).filter { !$0.isEmpty }.joined(separator: " ")
    }

    private static func change(_ body: EventBody) -> String {
        switch body {
        case .jobCreated(let description): return description.name.text
        case .executionStarted: return ""
        case .executionFinished(_, let outcome): return outcome.rawValue
        case .jobFinished(let outcome): return outcome.rawValue
        case .progress(let progress):
            var parts = [progress.label?.text ?? SnapshotText.unlabeled]
            func amount(_ value: Int64) -> String { UnitText.amount(Int128(value), of: progress.unit) }
            if let total = progress.total { parts.append("total +\(amount(total))") }
            if let done = progress.done { parts.append("done +\(amount(done))") }
            if let carried = progress.carried { parts.append("(\(amount(carried)) carried)") }
            if let unit = progress.unit, !UnitText.isScaled(unit) { parts.append(unit.text) }
            if let report = progress.report { parts.append("report \(report)") }
            if let part = progress.part { parts.append("of part \(part)") }
            return parts.joined(separator: " ")
        }
    }

    private static func verdict(_ event: ExplainedEvent) -> String {
        guard let verdict = event.verdict else { return "not folded yet" }
        if let original = event.duplicateOf { return "\(verdict.rawValue) of \(original)" }
        return event.late ? "\(verdict.rawValue), late" : verdict.rawValue
    }
}
