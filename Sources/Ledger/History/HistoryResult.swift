/// The result of reading an indicator's history.
public enum HistoryResult: Sendable {
    case noSuchJob
    /// No event of the job has named the indicator.
    case noSuchIndicator
    case found(IndicatorHistory)
}
