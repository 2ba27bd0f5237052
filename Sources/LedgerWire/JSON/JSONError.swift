/// An error in text that is not valid JSON (RFC 8259), with its position.
public struct JSONError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The offset of the byte, from 0.
    public let offset: Int
    /// The reason, in lower case and without a full stop.
    public let reason: String

    public var description: String { "\(reason) at byte \(offset)" }
}
