/// The report numbers that an execution has used, with the content of each report.
///
/// They make a repeated request harmless, however late it arrives.
///
/// The newest entries are stored with the execution. When there are ``recentMax``, the lowest ``archivedAtOnce`` of
/// them move to ``ReportPage``s, which are loaded only if a report's number may be in one. A report therefore costs a
/// few bytes, and neither the number of reports nor their order makes the next one more expensive.
///
/// The reports of a part are not among them: they go to pages of the part at once, because an execution may have any
/// number of parts.
public struct ReportNumbers: Hashable, Sendable {
    /// The number of reports at which the lowest ones move to pages.
    public static let recentMax = 128
    /// The number of reports that move to pages at once.
    public static let archivedAtOnce = 96

    /// The content of one report, which repetitions are compared with.
    public struct Entry: Hashable, Sendable {
        /// The reporter's number.
        public let report: Int64
        /// The event with this number.
        public let sequence: EventSequence
        /// Its indicator.
        public let indicator: IndicatorID
        /// Units declared.
        public let total: Int64
        /// Units done.
        public let done: Int64

        public init(report: Int64, sequence: EventSequence, indicator: IndicatorID, total: Int64, done: Int64) {
            self.report = report
            self.sequence = sequence
            self.indicator = indicator
            self.total = total
            self.done = done
        }

        /// Whether both entries have the same content; their sequences may differ.
        func hasSameContent(as other: Entry) -> Bool {
            indicator == other.indicator && total == other.total && done == other.done
        }
    }

    /// The newest reports, ascending by number.
    public private(set) var recent: [Entry] = []
    /// An upper bound of the numbers in pages; 0 if there are no pages.
    public private(set) var archivedMax: Int64 = 0

    /// Creates a table without reports.
    public init() {}

    /// Restores stored numbers.
    ///
    /// - Returns: nil if there are too many entries or they are not strictly ascending by number.
    public init?(recent: [Entry], archivedMax: Int64) {
        guard recent.count < Self.recentMax, archivedMax >= 0 else { return nil }
        for (left, right) in zip(recent, recent.dropFirst()) where left.report >= right.report { return nil }
        self.recent = recent
        self.archivedMax = archivedMax
    }

    /// Returns the entry with this number if it is among the newest.
    func recentEntry(of report: Int64) -> Entry? {
        // The number of most reports is higher than all earlier ones.
        guard let last = recent.last, report <= last.report else { return nil }
        let index = recent.partitioningIndex { $0.report >= report }
        return index < recent.count && recent[index].report == report ? recent[index] : nil
    }

    /// Whether this number may be in a page, which must then be searched.
    func mayBeArchived(_ report: Int64) -> Bool {
        report <= archivedMax && recentEntry(of: report) == nil
    }

    /// Records a number that was not used before.
    ///
    /// - Returns: The entries to move to their pages, ascending by number; usually none.
    mutating func insert(_ entry: Entry) -> [Entry] {
        if let last = recent.last, last.report > entry.report {
            recent.insert(entry, at: recent.partitioningIndex { $0.report >= entry.report })
        } else {
            recent.append(entry)
        }
        guard recent.count >= Self.recentMax else { return [] }
        let archived = Array(recent.prefix(Self.archivedAtOnce))
        recent.removeFirst(Self.archivedAtOnce)
        archivedMax = max(archivedMax, archived.last?.report ?? 0)
        return archived
    }
}
