/// The types of events.
///
/// The database and the hash chain contain the raw values: never renumber.
public enum EventType: Int16, CaseIterable, Hashable, Sendable {
    case jobCreated = 1
    case executionStarted = 2
    case progress = 3
    case executionFinished = 4
    case jobFinished = 5

    /// The name in JSON.
    public var name: String {
        switch self {
        case .jobCreated: "job_created"
        case .executionStarted: "execution_started"
        case .progress: "progress"
        case .executionFinished: "execution_finished"
        case .jobFinished: "job_finished"
        }
    }

    /// Creates the type with this name in JSON; nil if there is none.
    public init?(name: String) {
        guard let type = Self.allCases.first(where: { $0.name.utf8.elementsEqual(name.utf8) }) else { return nil }
        self = type
    }
}
