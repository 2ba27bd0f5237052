/// A response that this version cannot interpret.
public struct ResponseError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The field that is missing or has another type.
    public let field: String

    public init(field: String) {
        self.field = field
    }

    public var description: String { "the server's response has no usable field \(field)" }
}
