/// An error in one value of the caller's input: a field of a body, or a parameter.
///
/// In a response it is an element of the `errors` of a problem (RFC 9457).
public struct FieldError: Hashable, Sendable {
    /// The JSON pointer (RFC 6901) of the value; nil for a query parameter.
    ///
    /// It begins at the body, or at the validated object if that is not part of a body. Empty for the whole.
    public let pointer: String?
    /// The query parameter; nil for a value of the body.
    public let parameter: String?
    /// The error and the expected value, as a sentence without subject and full stop.
    public let detail: String

    public init(pointer: String, detail: String) {
        self.pointer = pointer
        parameter = nil
        self.detail = detail
    }

    public init(parameter: String, detail: String) {
        pointer = nil
        self.parameter = parameter
        self.detail = detail
    }

    /// The pointer or the name of the parameter; empty for the whole body.
    public var location: String { pointer ?? parameter ?? "" }
}

extension FieldError {
    /// Returns the error for a number outside its range.
    public static func outside(_ range: ClosedRange<Int64>, pointer: String) -> FieldError {
        FieldError(pointer: pointer, detail: "must be an integer from \(range.lowerBound) to \(range.upperBound)")
    }
}
