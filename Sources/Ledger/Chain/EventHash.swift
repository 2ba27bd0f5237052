/// The hash of an event in 32 bytes of memory, because stamps are numerous.
public struct EventHash: Hashable, Sendable {
    private let first: UInt64
    private let second: UInt64
    private let third: UInt64
    private let fourth: UInt64

    /// The hash of no event.
    public static let none = EventHash(0, 0, 0, 0)

    /// The first eight bytes, which distinguish two histories of a job.
    public var prefix: UInt64 { first }

    /// Creates a hash from four numbers of eight bytes each.
    public init(_ first: UInt64, _ second: UInt64, _ third: UInt64, _ fourth: UInt64) {
        self.first = first
        self.second = second
        self.third = third
        self.fourth = fourth
    }
}
