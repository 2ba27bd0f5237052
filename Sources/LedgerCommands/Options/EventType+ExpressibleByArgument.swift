public import ArgumentParser
public import Ledger

// The values on the command line are spelt as in JSON.

extension JobState: ExpressibleByArgument {}
extension TaskState: ExpressibleByArgument {}
extension CountingPolicy: ExpressibleByArgument {}
extension JobOutcome: ExpressibleByArgument {}
extension ExecutionOutcome: ExpressibleByArgument {}
extension Verdict: ExpressibleByArgument {}
extension Scope: ExpressibleByArgument {}
extension Subscription.Format: ExpressibleByArgument {}

extension EventType: ExpressibleByArgument {
    public init?(argument: String) {
        self.init(name: argument)
    }

    public static var allValueStrings: [String] { allCases.map(\.name) }
}
