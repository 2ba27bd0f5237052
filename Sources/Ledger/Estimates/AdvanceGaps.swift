/// The gaps between advances: between the times at which units became done.
struct AdvanceGaps: Hashable, Sendable {
    /// The number of gaps.
    var count: Int64 = 0
    /// The longest one, in microseconds.
    var longest: Int64 = 0

    mutating func add(_ moment: Timestamp, after last: Timestamp) {
        // Reports of one batch are one advance.
        guard moment > last else { return }
        count += 1
        longest = max(longest, moment.microseconds - last.microseconds)
    }
}
