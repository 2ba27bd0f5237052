/// An event that was discarded on arrival, and the reason.
public struct Discard: Hashable, Sendable {
    /// The event.
    public let sequence: EventSequence
    /// ``Verdict/duplicate``, ``Verdict/conflict`` or ``Verdict/overLimit``.
    public let verdict: Verdict
    /// Its execution.
    public let execution: ExecutionID
    /// Its indicator, for a progress event.
    public let indicator: IndicatorID?
    /// The units that it would have added.
    public let units: Units
    /// The earlier event with the same report number.
    public let duplicateOf: EventSequence?

    public init(
        sequence: EventSequence, verdict: Verdict, execution: ExecutionID, indicator: IndicatorID?, units: Units,
        duplicateOf: EventSequence?
    ) {
        self.sequence = sequence
        self.verdict = verdict
        self.execution = execution
        self.indicator = indicator
        self.units = units
        self.duplicateOf = duplicateOf
    }
}
