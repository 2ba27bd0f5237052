internal import Ledger

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
