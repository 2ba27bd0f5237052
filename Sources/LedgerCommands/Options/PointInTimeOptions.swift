import ArgumentParser
import Ledger

/// The point in time and the counting policy of a query.
struct PointInTimeOptions: ParsableArguments {
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Show the state after this event; 0 is before the first.", valueName: "sequence"))
    var atSequence: Int64?

    /// The event given by `--at-sequence`.
    var sequence: EventSequence? { atSequence.map { EventSequence($0) } }

    @Option(help: ArgumentHelp("Show the state at this time, such as 2026-11-23T17:30:00Z.", valueName: "time"))
    var at: String?

    @Option(help: "The executions that count: the last of each task, the last that succeeded, or all.")
    var policy: CountingPolicy = .last
}
