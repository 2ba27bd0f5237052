import ArgumentParser
import Ledger
import LedgerWire
import ProgressLedgerClient

struct DifferenceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff",
        abstract: "Show what changed in a job between two points in time, and why numbers decreased.",
        discussion: """
            A point in time is a sequence or a time: --from 120 --to 2026-11-23T17:30:00Z. Defaults: --from the \
            beginning, --to now.
            """)

    @OptionGroup var job: JobOptions

    @Option(help: ArgumentHelp("The earlier point in time. Default: the beginning.", valueName: "sequence-or-time"))
    var from: String?

    @Option(help: ArgumentHelp("The later point in time. Default: now.", valueName: "sequence-or-time"))
    var to: String?

    @Option(parsing: .unconditional, help: "The most executions to list of each kind, up to 1,000. All are counted.")
    var limit: Int = 100

    @Option(help: "The executions that count: the last of each task, the last that succeeded, or all.")
    var policy: CountingPolicy = .last

    @Flag(help: "Print the server's JSON.")
    var json = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let client = try server.client()
        let (difference, document) = try await client.sendForJSON(
            .difference(try await job.resolve(client), from: from, to: to, policy: policy, limit: limit),
            as: SnapshotDiff.self)
        if json { return Console.standard.print(document) }
        for line in DifferenceText.lines(difference) { Console.standard.print(line) }
    }
}

/// The differences between two points in time as lines of text.
enum DifferenceText {
    static func lines(_ difference: SnapshotDiff) -> [String] {
        var lines = [header(difference)]
        for indicator in difference.indicators { lines.append(line(indicator)) }
        lines += section("started", difference.started) { started in
            let late = started.isLate ? ", late: a higher execution existed already" : ""
            return "\(started.execution.id.sequence)  \(started.task) \(executionText(started.execution))\(late)"
        }
        lines += section("finished", difference.finished) { finished in
            "\(finished.sequence)  \(finished.task) \(executionText(finished.execution)) \(finished.outcome.rawValue)"
        }
        lines += section("superseded", difference.superseded) { superseded in
            "\(superseded.by.id.sequence)  \(superseded.task) \(executionText(superseded.execution)) by \(executionText(superseded.by))"
                + lost(superseded.lost)
        }
        return lines.map(VisibleText.escape)
    }

    private static func header(_ difference: SnapshotDiff) -> String {
        let (from, to) = (difference.from, difference.to)
        let discarded = difference.events.filter(\.key.isDiscarded).values.reduce(0, +)
        let late = difference.events[.superseded] ?? 0
        var parts = ["\(Count(to.sequence - from.sequence, "event"))"]
        if late > 0 { parts.append("\(late) late") }
        if discarded > 0 { parts.append("\(discarded) discarded") }
        let state = from.state == to.state ? to.state.rawValue : "\(from.state.rawValue) → \(to.state.rawValue)"
        return "\(from.sequence) → \(to.sequence)  \(parts.joined(separator: ", "))  \(state)"
    }

    private static func line(_ indicator: SnapshotDiff.IndicatorChange) -> String {
        let label = indicator.label?.text ?? SnapshotText.unlabeled
        let (from, to) = (indicator.from, indicator.to)
        let change = (to ?? .zero) - (from ?? .zero)
        return "\(label): \(text(from)) → \(text(to))  (done \(signed(change.done)), total \(signed(change.total)))"
    }

    private static func text(_ units: Units?) -> String { units.map { "\($0.done)/\($0.total)" } ?? "none" }

    static func signed(_ number: Int128) -> String { number > 0 ? "+\(number)" : number < 0 ? "−\(-number)" : "0" }

    /// An execution without its task: by its name, if it has one, and its attempt.
    static func executionText(_ execution: ExecutionIdentity) -> String {
        execution.execution.map { "\($0), attempt \(execution.attempt)" } ?? "attempt \(execution.attempt)"
    }

    private static func lost(_ contributions: [ExecutionSummary.CountedUnits]) -> String {
        guard !contributions.isEmpty else { return ", which had counted nothing" }
        let parts = contributions.map { contribution in
            "\(contribution.label?.text ?? SnapshotText.unlabeled) \(contribution.units.done)/\(contribution.units.total)"
        }
        return ", which had counted \(parts.joined(separator: ", "))"
    }

    private static func section<Change>(
        _ title: String, _ changes: SnapshotDiff.Changes<Change>, _ line: (Change) -> String
    ) -> [String] {
        guard changes.count > 0 else { return [] }
        let rest = changes.count - Int64(changes.first.count)
        return ["\(title) \(changes.count)"] + changes.first.map { "  " + line($0) }
            + (rest > 0 ? ["  … and \(rest) more"] : [])
    }
}
