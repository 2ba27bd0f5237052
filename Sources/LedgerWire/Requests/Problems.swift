/// What is wrong with a request, and where: the `errors` of a problem (RFC 9457).
public struct WireProblem: Sendable, Hashable {
    /// Where in the body, as a JSON pointer (RFC 6901); nil where a parameter of the query is meant.
    public var pointer: String?
    /// Which parameter of the query; nil where the body is meant.
    public var parameter: String?
    /// What is wrong and what would be right.
    public var detail: String

    public init(pointer: String, detail: String) {
        self.pointer = pointer
        self.detail = detail
    }

    public init(parameter: String, detail: String) {
        self.parameter = parameter
        self.detail = detail
    }
}

/// A request that cannot be taken.
public enum RequestError: Error, Sendable, Equatable {
    /// It is no JSON: 400. With a line where it is NDJSON.
    case unreadable(String)
    /// It is JSON, but not what the ledger takes: 422.
    case invalid([WireProblem])
    /// It has more events than one append may have: 413.
    case tooManyEvents

    /// How many problems are told, at most.
    public static let problemsMax = 100
}

/// Gathers problems, no more than are told.
struct ProblemList {
    private(set) var problems: [WireProblem] = []

    var isEmpty: Bool { problems.isEmpty }
    var isFull: Bool { problems.count >= RequestError.problemsMax }

    mutating func add(_ pointer: String, _ detail: String) {
        guard !isFull else { return }
        problems.append(WireProblem(pointer: pointer, detail: detail))
    }
}
