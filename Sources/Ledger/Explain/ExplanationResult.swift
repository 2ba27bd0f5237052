/// The result of explaining an indicator.
public enum ExplanationResult: Sendable {
    case noSuchJob
    /// No event of the job has named the indicator.
    case noSuchIndicator
    case found(Explanation)
}
