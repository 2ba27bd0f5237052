/// An event that was discarded on arrival, and the reason.
public struct Discard: Hashable, Sendable {
    /// The event.
    public let sequence: Int64
    /// ``Verdict/duplicate``, ``Verdict/conflict`` or ``Verdict/overLimit``.
    public let verdict: Verdict
    /// Its execution.
    public let execution: ExecutionID
    /// Its indicator, for a progress event.
    public let indicator: IndicatorID?
    /// The units that it would have added.
    public let units: Units
    /// The earlier event with the same report number.
    public let duplicateOf: Int64?

    public init(
        sequence: Int64, verdict: Verdict, execution: ExecutionID, indicator: IndicatorID?, units: Units,
        duplicateOf: Int64?
    ) {
        self.sequence = sequence
        self.verdict = verdict
        self.execution = execution
        self.indicator = indicator
        self.units = units
        self.duplicateOf = duplicateOf
    }
}
