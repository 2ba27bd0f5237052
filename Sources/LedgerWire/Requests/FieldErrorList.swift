package import Ledger

/// A list of errors, limited to ``RequestError/errorsMax``.
///
/// Further errors are only counted, at no other cost.
package struct FieldErrorList {
    package private(set) var list: [FieldError] = []
    /// The number of errors found, including those that are not kept.
    package private(set) var count = 0

    package init() {}

    package var isEmpty: Bool { count == 0 }
    package var isFull: Bool { list.count >= RequestError.errorsMax }

    mutating func add(_ error: @autoclosure () -> FieldError) {
        count += 1
        if !isFull { list.append(error()) }
    }

    package mutating func add(_ pointer: @autoclosure () -> String, _ detail: @autoclosure () -> String) {
        add(FieldError(pointer: pointer(), detail: detail()))
    }

    /// Adds the errors of an object's values, except for fields already found invalid.
    ///
    /// - Parameters:
    ///   - prefix: The pointer of the object.
    ///   - index: The number of errors before the first one of this object.
    package mutating func add(_ errors: [FieldError], in prefix: String, since index: Int) {
        guard !isFull else {
            count += errors.count
            return
        }
        let reported = Set(list[min(index, list.count)...].compactMap(\.pointer))
        for error in errors {
            let pointer = prefix + error.location
            if !reported.contains(pointer) { add(pointer, error.detail) }
        }
    }
}
