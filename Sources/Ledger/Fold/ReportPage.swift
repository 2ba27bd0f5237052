/// Reports of one execution whose numbers agree in all but the last six bits: at most 64.
public struct ReportPage: Hashable, Sendable {
    /// Which page of which execution.
    public struct Key: Hashable, Comparable, Sendable {
        /// The sequence that tells the execution.
        public let execution: Int64
        /// The report's number without its last six bits.
        public let page: Int64

        public init(execution: Int64, page: Int64) {
            self.execution = execution
            self.page = page
        }

        /// The page that a report's number belongs to.
        public init(execution: Int64, report: Int64) {
            self.init(execution: execution, page: report >> 6)
        }

        public static func < (left: Key, right: Key) -> Bool {
            (left.execution, left.page) < (right.execution, right.page)
        }
    }

    /// The entries one after the other, each in the encoding of ``StateWriter``, in the order in which they came.
    /// So a page grows by appending bytes to it, and need not be read for that.
    public private(set) var bytes: [UInt8]

    /// A page of these bytes.
    public init(bytes: [UInt8] = []) {
        self.bytes = bytes
    }

    mutating func append(_ entry: ReportNumbers.Entry) {
        var writer = StateWriter()
        writer.write(entry, after: 0)
        bytes += writer.bytes
    }

    /// The entry of this number, if it is here. Costs a pass over the page.
    ///
    /// - Throws: ``FoldStateError`` where the bytes are not what a page holds.
    func entry(of report: Int64) throws(FoldStateError) -> ReportNumbers.Entry? {
        var reader = StateReader(bytes)
        while !reader.isAtEnd {
            let entry = try reader.readEntry(after: 0)
            if entry.report == report { return entry }
        }
        return nil
    }
}
