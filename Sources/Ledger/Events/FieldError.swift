/// An error in one field of the caller's input.
public struct FieldError: Hashable, Sendable {
    /// The field's name as in JSON, for a tag with its name: `done`, `tags/region`.
    public let field: String
    /// The error and the expected value, as a sentence without a full stop.
    public let detail: String

    public init(field: String, detail: String) {
        self.field = field
        self.detail = detail
    }
}

extension FieldError {
    /// Returns the error for a number outside its range.
    public static func outside(_ range: ClosedRange<Int64>, field: String) -> FieldError {
        FieldError(field: field, detail: "must be an integer from \(range.lowerBound) to \(range.upperBound)")
    }
}
