/// The report numbers that an execution has used, with what each report said: it makes a repeated request
/// harmless however late it comes.
///
/// The newest are kept with the execution; when there are ``recentMax`` the lowest ``archivedAtOnce`` of them
/// move to ``ReportPage``s, which are loaded only when a number comes that might be in one. So a report costs a
/// few bytes, and neither the number of reports nor their order makes the next one dearer.
public struct ReportNumbers: Hashable, Sendable {
    /// How many reports are kept with the execution.
    public static let recentMax = 128
    /// How many move to pages when that many are there.
    public static let archivedAtOnce = 96

    /// What one report said, which is what a repetition is compared with.
    public struct Entry: Hashable, Sendable {
        /// The reporter's number.
        public let report: Int64
        /// The event that bears it.
        public let sequence: Int64
        /// The sequence that tells its indicator.
        public let indicator: Int64
        /// Units declared.
        public let total: Int64
        /// Units done.
        public let done: Int64

        public init(report: Int64, sequence: Int64, indicator: Int64, total: Int64, done: Int64) {
            self.report = report
            self.sequence = sequence
            self.indicator = indicator
            self.total = total
            self.done = done
        }

        /// Whether both say the same, wherever they stand.
        func hasContent(of other: Entry) -> Bool {
            indicator == other.indicator && total == other.total && done == other.done
        }
    }

    /// The newest reports, ascending by number.
    public private(set) var recent: [Entry] = []
    /// No number above this one is in a page; 0 where there are no pages.
    public private(set) var archivedMax: Int64 = 0

    /// No reports.
    public init() {}

    /// The numbers as they were stored.
    ///
    /// - Returns: nil where the entries are too many or not strictly ascending by number.
    public init?(recent: [Entry], archivedMax: Int64) {
        guard recent.count < Self.recentMax, archivedMax >= 0 else { return nil }
        for (left, right) in zip(recent, recent.dropFirst()) where left.report >= right.report { return nil }
        self.recent = recent
        self.archivedMax = archivedMax
    }

    /// The entry of this number, where it is among the newest.
    func recentEntry(of report: Int64) -> Entry? {
        // Most reports are numbered on.
        guard let last = recent.last, report <= last.report else { return nil }
        let index = recent.partitioningIndex { $0.report >= report }
        return index < recent.count && recent[index].report == report ? recent[index] : nil
    }

    /// Whether this number, if it was used, may be in a page: then the page must be looked into.
    func mayBeArchived(_ report: Int64) -> Bool {
        report <= archivedMax && recentEntry(of: report) == nil
    }

    /// Records a number that was not used before.
    ///
    /// - Returns: Entries that no longer fit and belong into their pages, ascending by number; mostly none.
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
