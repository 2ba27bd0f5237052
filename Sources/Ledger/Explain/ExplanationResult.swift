/// The result of explaining an indicator.
public enum ExplanationResult: Sendable {
    /// The ledger has no such job.
    case noSuchJob
    /// No event of the job has named the indicator.
    case noSuchIndicator
    /// The account of the indicator's units.
    case found(Explanation)
}
