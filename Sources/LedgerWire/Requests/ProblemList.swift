internal import Ledger

/// A list of problems, limited to ``RequestError/problemsMax``.
///
/// Further problems are only counted, at no other cost.
struct ProblemList {
    private(set) var problems: [RequestProblem] = []
    /// The number of problems found, including those that are not kept.
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }
    var isFull: Bool { problems.count >= RequestError.problemsMax }

    mutating func add(_ pointer: @autoclosure () -> String, _ detail: @autoclosure () -> String) {
        count += 1
        guard !isFull else { return }
        problems.append(RequestProblem(pointer: pointer(), detail: detail()))
    }

    /// Adds the errors of an object's values, except for fields already found invalid.
    ///
    /// - Parameters:
    ///   - prefix: The pointer of the object.
    ///   - index: The number of problems before the first one of this object.
    mutating func add(_ fieldProblems: [FieldError], in prefix: String, since index: Int) {
        guard !isFull else {
            count += fieldProblems.count
            return
        }
        let reported = Set(problems[min(index, problems.count)...].compactMap(\.pointer))
        for problem in fieldProblems {
            let pointer = "\(prefix)/\(problem.field)"
            if !reported.contains(pointer) { add(pointer, problem.detail) }
        }
    }
}
