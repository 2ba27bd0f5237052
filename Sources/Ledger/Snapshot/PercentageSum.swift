/// The sum from which the percentage of a job follows.
///
/// It changes with single indicators, so that a job with very many of them needs no look at the others.
public struct PercentageSum: Hashable, Sendable {
    /// The sum of the shares done, in ten-thousandths, of the indicators with a total.
    private var shares: Int128 = 0
    /// The number of indicators with a total.
    private var withTotal = 0
    /// The number of indicators without a total.
    private var withoutTotal = 0

    /// The sum over indicators with these counted units.
    public init(_ indicators: some Sequence<Units> = EmptyCollection()) {
        for units in indicators { add(units) }
    }

    /// Adds a shown indicator.
    public mutating func add(_ units: Units) { count(units, 1) }

    /// Removes an indicator that was added with these units.
    public mutating func remove(_ units: Units) { count(units, -1) }

    private mutating func count(_ units: Units, _ sign: Int) {
        guard units.total > 0 else {
            withoutTotal += sign
            return
        }
        withTotal += sign
        // The product of a sum and 10,000 may exceed 128 bits.
        let share = units.total.dividingFullWidth(min(units.done, units.total).multipliedFullWidth(by: 10_000)).quotient
        shares += Int128(sign) * share
    }

    /// The percentage of a job in this state: see ``Snapshot/percent``.
    public func percent(in state: JobState) -> Int? {
        let count = state == .running ? withTotal + withoutTotal : withTotal
        guard count > 0 else { return nil }
        let percent = Int(shares / Int128(count * 100))
        return state == .running ? min(percent, 99) : percent
    }
}
