import ArgumentParser
import Ledger

/// As of when, and which executions count.
struct PointInTimeOptions: ParsableArguments {
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("As it was after this event; 0 is before the first.", valueName: "sequence"))
    var atSequence: Int64?

    @Option(help: ArgumentHelp("As it was at this time, such as 2026-11-23T17:30:00Z.", valueName: "time"))
    var at: String?

    @Option(help: "Which executions count: the last of each task, the highest that succeeded, or every one.")
    var policy: CountingPolicy = .last
}
