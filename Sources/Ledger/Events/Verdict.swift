/// The fold's classification of one event.
public enum Verdict: String, CaseIterable, Hashable, Sendable {
    /// The event counts.
    case counted
    /// Its execution is not, or no longer, the last one of its task.
    ///
    /// The event does not count; its units are wasted work.
    case superseded
    /// An earlier event of its execution has the same report number and content.
    ///
    /// Discarded.
    case duplicate
    /// The event contradicts its execution.
    ///
    /// It names another attempt, or has different content with the same report number. Discarded.
    case conflict
    /// The event would exceed ``Limits/labelsPerExecutionMax`` labels in its execution.
    ///
    /// Discarded.
    case overLimit = "over_limit"

    /// Whether the event was discarded on arrival, which is final.
    public var isDiscarded: Bool {
        switch self {
        case .counted, .superseded: false
        case .duplicate, .conflict, .overLimit: true
        }
    }
}
