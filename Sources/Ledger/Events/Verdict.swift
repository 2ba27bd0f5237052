/// What the fold made of one event.
public enum Verdict: String, CaseIterable, Hashable, Sendable {
    /// It is in the numbers.
    case counted
    /// Its execution is not, or no longer, the last one of its task. Not in the numbers; work done for nothing.
    case superseded
    /// An earlier event of its execution bears the same report number and says the same. Discarded.
    case duplicate
    /// It contradicts what its execution said before: another attempt, or another content under the same report
    /// number. Discarded.
    case conflict
    /// It would bring its execution beyond ``Limits/labelsPerExecutionMax`` labels. Discarded.
    case overLimit = "over_limit"

    /// Whether the event was discarded on arrival, which lasts for ever.
    public var isDiscarded: Bool {
        switch self {
        case .counted, .superseded: false
        case .duplicate, .conflict, .overLimit: true
        }
    }
}
