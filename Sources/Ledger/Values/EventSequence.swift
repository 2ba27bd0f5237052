/// The position of an event in the ledger of its job.
///
/// It is 1 for the first one, and has no gaps. 0 is the position before the first event: that of an empty snapshot.
public struct EventSequence: Hashable, Comparable, Sendable {
    /// The position as a number.
    public let number: Int64

    /// Creates the position with this number.
    @inlinable
    public init(_ number: Int64) {
        self.number = number
    }

    /// Creates the position with this number.
    @inlinable
    public init(_ number: Int) {
        self.number = Int64(number)
    }

    /// The position before the first event.
    public static var start: EventSequence { 0 }

    @inlinable
    public static func < (left: EventSequence, right: EventSequence) -> Bool { left.number < right.number }

    /// The position this many events later.
    @inlinable
    public static func + (sequence: EventSequence, count: Int) -> EventSequence {
        EventSequence(sequence.number + Int64(count))
    }

    /// The position this many events earlier.
    @inlinable
    public static func - (sequence: EventSequence, count: Int) -> EventSequence {
        EventSequence(sequence.number - Int64(count))
    }

    /// The number of events from one position to another.
    @inlinable
    public static func - (end: EventSequence, start: EventSequence) -> Int { Int(end.number - start.number) }

    @inlinable
    public static func += (sequence: inout EventSequence, count: Int) { sequence = sequence + count }
}

extension EventSequence: Strideable {
    @inlinable
    public func distance(to other: EventSequence) -> Int { other - self }

    @inlinable
    public func advanced(by count: Int) -> EventSequence { self + count }
}

extension EventSequence: ExpressibleByIntegerLiteral {
    public init(integerLiteral number: Int64) {
        self.init(number)
    }
}

extension EventSequence: CustomStringConvertible {
    /// Parses a decimal number; nil for any other text and for numbers below 0.
    public init?(_ text: some StringProtocol) {
        guard let number = Int64(text), number >= 0 else { return nil }
        self.init(number)
    }

    public var description: String { String(number) }
}
