/// What one execution reported on each indicator: at most ``Limits/labelsPerExecutionMax`` entries.
public struct ContributionTable: Hashable, Sendable {
    /// The sum over an execution's events on one indicator, discarded ones apart.
    public struct Entry: Hashable, Sendable {
        /// The sequence that tells the indicator.
        public let indicator: Int64
        /// How many events there are.
        public var events: Int64
        /// What they sum up to.
        public var units: Units

        public init(indicator: Int64, events: Int64, units: Units) {
            self.indicator = indicator
            self.events = events
            self.units = units
        }
    }

    /// The entries, ascending by indicator.
    public private(set) var entries: [Entry] = []

    /// No contributions.
    public init() {}

    /// ContributionTable of these entries.
    ///
    /// - Returns: nil where the entries are not strictly ascending by indicator.
    public init?(ascending entries: [Entry]) {
        for (left, right) in zip(entries, entries.dropFirst()) where left.indicator >= right.indicator {
            return nil
        }
        self.entries = entries
    }

    /// Whether the execution has reported on this indicator. Costs a binary search.
    public func contains(_ indicator: Int64) -> Bool {
        let index = firstIndex(notBelow: indicator)
        return index < entries.count && entries[index].indicator == indicator
    }

    /// Adds one event's units to an indicator.
    ///
    /// - Returns: Whether it is the first event on it.
    mutating func add(_ units: Units, to indicator: Int64) -> Bool {
        let index = firstIndex(notBelow: indicator)
        if index < entries.count, entries[index].indicator == indicator {
            entries[index].events += 1
            entries[index].units += units
            return false
        }
        entries.insert(Entry(indicator: indicator, events: 1, units: units), at: index)
        return true
    }

    private func firstIndex(notBelow indicator: Int64) -> Int {
        entries.partitioningIndex { $0.indicator >= indicator }
    }
}
