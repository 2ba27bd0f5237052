/// Reports of one execution with numbers equal except for the last six bits.
///
/// There are at most 64.
public struct ReportPage: Hashable, Sendable {
    /// The execution and the number of a page.
    public struct Key: Hashable, Comparable, Sendable {
        /// The sequence that identifies the execution.
        public let execution: Int64
        /// The report's number without its last six bits.
        public let page: Int64

        public init(execution: Int64, page: Int64) {
            self.execution = execution
            self.page = page
        }

        /// Creates the key of the page that contains a report's number.
        public init(execution: Int64, report: Int64) {
            self.init(execution: execution, page: report >> 6)
        }

        public static func < (left: Key, right: Key) -> Bool {
            (left.execution, left.page) < (right.execution, right.page)
        }
    }

    /// The encoded entries (``StateWriter``), in the order of their arrival.
    ///
    /// A page therefore grows by appending bytes, and need not be read for that.
    public private(set) var bytes: [UInt8]

    /// Creates a page from these bytes.
    public init(bytes: [UInt8] = []) {
        self.bytes = bytes
    }

    mutating func append(_ entry: ReportNumbers.Entry) {
        var writer = StateWriter()
        writer.write(entry, after: 0)
        bytes += writer.bytes
    }

    /// Returns the entry with this number; nil if the page does not contain it.
    ///
    /// Costs a pass over the page.
    ///
    /// - Throws: ``FoldStateError`` if the bytes are not a valid page.
    func entry(of report: Int64) throws(FoldStateError) -> ReportNumbers.Entry? {
        var reader = StateReader(bytes)
        while !reader.isAtEnd {
            let entry = try reader.readEntry(after: 0)
            if entry.report == report { return entry }
        }
        return nil
    }
}
