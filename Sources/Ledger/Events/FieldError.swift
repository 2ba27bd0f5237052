/// One thing that is wrong with what a caller gave, and where.
public struct FieldError: Hashable, Sendable {
    /// The field's name as in JSON, for a tag with its name: `done`, `tags/region`.
    public let field: String
    /// What is wrong and what would be right, as a sentence without a full stop.
    public let detail: String

    public init(field: String, detail: String) {
        self.field = field
        self.detail = detail
    }
}

extension FieldError {
    /// The problem of a number outside of its range.
    public static func outside(_ range: ClosedRange<Int64>, field: String) -> FieldError {
        FieldError(field: field, detail: "must be an integer from \(range.lowerBound) to \(range.upperBound)")
    }
}
