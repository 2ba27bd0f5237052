/// The units that one execution reported, by indicator.
///
/// It has at most ``Limits/labelsPerExecutionMax`` entries.
public struct ContributionTable: Hashable, Sendable {
    /// The sum of an execution's events on one indicator, without discarded events.
    public struct Entry: Hashable, Sendable {
        public let indicator: IndicatorID
        /// The number of events.
        public var events: Int64
        /// The sum of their units.
        public var units: Units

        public init(indicator: IndicatorID, events: Int64, units: Units) {
            self.indicator = indicator
            self.events = events
            self.units = units
        }
    }

    /// The entries, ascending by indicator.
    public private(set) var entries: [Entry] = []

    /// Creates an empty table.
    public init() {}

    /// Creates a table with these entries.
    ///
    /// - Returns: nil unless the entries are strictly ascending by indicator.
    public init?(ascending entries: [Entry]) {
        for (left, right) in zip(entries, entries.dropFirst()) where left.indicator >= right.indicator {
            return nil
        }
        self.entries = entries
    }

    /// Whether the execution has reported on this indicator. Costs a binary search.
    public func contains(_ indicator: IndicatorID) -> Bool {
        let index = firstIndex(notBelow: indicator)
        return index < entries.count && entries[index].indicator == indicator
    }

    /// Adds the units of one event to an indicator.
    ///
    /// - Returns: Whether it is the execution's first event on the indicator.
    mutating func add(_ units: Units, to indicator: IndicatorID) -> Bool {
        let index = firstIndex(notBelow: indicator)
        if index < entries.count, entries[index].indicator == indicator {
            entries[index].events += 1
            entries[index].units += units
            return false
        }
        entries.insert(Entry(indicator: indicator, events: 1, units: units), at: index)
        return true
    }

    private func firstIndex(notBelow indicator: IndicatorID) -> Int {
        entries.partitioningIndex { $0.indicator >= indicator }
    }
}
