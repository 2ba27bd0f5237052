/// A text that is no JSON (RFC 8259), and where that shows.
public struct JSONError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The position of the byte, from 0.
    public let offset: Int
    /// What is wrong there.
    public let reason: String

    public var description: String { "\(reason) at byte \(offset)" }
}
