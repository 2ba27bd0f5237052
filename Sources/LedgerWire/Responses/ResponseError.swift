/// An answer that is not what this version expects of a ledger.
public struct ResponseError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The field that is missing or has another type.
    public let field: String

    public init(field: String) {
        self.field = field
    }

    public var description: String { "the server's answer has no usable field \(field)" }
}
