/// The result of reading an indicator's history.
public enum HistoryResult: Sendable {
    /// The ledger has no such job.
    case noSuchJob
    /// No event of the job has named the indicator.
    case noSuchIndicator
    /// The history of the indicator.
    case found(IndicatorHistory)
}
