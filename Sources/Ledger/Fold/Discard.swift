/// An event that was discarded on arrival, and why.
public struct Discard: Hashable, Sendable {
    /// The event.
    public let sequence: Int64
    /// ``Verdict/duplicate``, ``Verdict/conflict`` or ``Verdict/overLimit``.
    public let verdict: Verdict
    /// The sequence that tells the execution it belongs to.
    public let execution: Int64
    /// The sequence that tells the indicator it names, for a progress event.
    public let indicator: Int64?
    /// What it would have added.
    public let units: Units
    /// The earlier event that bears the same report number.
    public let duplicateOf: Int64?

    public init(
        sequence: Int64, verdict: Verdict, execution: Int64, indicator: Int64?, units: Units, duplicateOf: Int64?
    ) {
        self.sequence = sequence
        self.verdict = verdict
        self.execution = execution
        self.indicator = indicator
        self.units = units
        self.duplicateOf = duplicateOf
    }
}
