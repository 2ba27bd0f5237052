/// A request that cannot be taken.
public enum RequestError: Error, Sendable, Equatable {
    /// It is no JSON: 400. With a line where it is NDJSON.
    case unreadable(String)
    /// It is JSON, but not what the ledger takes: 422.
    case invalid([RequestProblem])
    /// It has more events than one append may have: 413.
    case tooManyEvents

    /// How many problems are told, at most.
    public static let problemsMax = 100
}
