/// A problem of a request: an element of `errors` in a problem (RFC 9457).
public struct RequestProblem: Sendable, Hashable {
    /// The JSON pointer (RFC 6901) into the body; nil for a query parameter.
    public var pointer: String?
    /// The query parameter; nil for the body.
    public var parameter: String?
    /// The error and the expected value.
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
