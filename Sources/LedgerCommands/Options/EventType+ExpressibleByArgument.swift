public import ArgumentParser
public import Ledger

// The ledger's words on the command line, spelt as in JSON.

extension JobState: ExpressibleByArgument {}
extension TaskState: ExpressibleByArgument {}
extension CountingPolicy: ExpressibleByArgument {}
extension JobOutcome: ExpressibleByArgument {}
extension ExecutionOutcome: ExpressibleByArgument {}
extension Verdict: ExpressibleByArgument {}

extension EventType: ExpressibleByArgument {
    public init?(argument: String) {
        self.init(name: argument)
    }

    public static var allValueStrings: [String] { allCases.map(\.name) }
}
