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
