internal import Ledger

/// What is wrong with a request, and where: the `errors` of a problem (RFC 9457).
public struct RequestProblem: Sendable, Hashable {
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
    case invalid([RequestProblem])
    /// It has more events than one append may have: 413.
    case tooManyEvents

    /// How many problems are told, at most.
    public static let problemsMax = 100
}

/// Collects problems, at most ``RequestError/problemsMax``; those beyond are counted and cost no more than that.
struct ProblemList {
    private(set) var problems: [RequestProblem] = []
    /// How many problems were found, those that are not kept included.
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }
    var isFull: Bool { problems.count >= RequestError.problemsMax }

    mutating func add(_ pointer: @autoclosure () -> String, _ detail: @autoclosure () -> String) {
        count += 1
        guard !isFull else { return }
        problems.append(RequestProblem(pointer: pointer(), detail: detail()))
    }

    /// Adds what is wrong with the values of an object, except with fields that were found wrong already.
    ///
    /// - Parameters:
    ///   - prefix: The pointer of the object.
    ///   - index: The number of problems before the first one of this object.
    mutating func add(_ fieldProblems: [FieldError], in prefix: String, since index: Int) {
        guard !isFull else {
            count += fieldProblems.count
            return
        }
        let known = Set(problems[min(index, problems.count)...].compactMap(\.pointer))
        for problem in fieldProblems {
            let pointer = "\(prefix)/\(problem.field)"
            if !known.contains(pointer) { add(pointer, problem.detail) }
        }
    }
}
