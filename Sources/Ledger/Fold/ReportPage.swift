/// Reports of one execution with numbers equal except for the last six bits.
///
/// There are at most 64. The reports of a part of an execution have pages of their own.
public struct ReportPage: Hashable, Sendable {
    /// The execution, its part, and the number of a page.
    public struct Key: Hashable, Comparable, Sendable {
        public let execution: ExecutionID
        /// The part of the execution; nil for the execution itself.
        public let part: Name?
        /// The report's number without its last six bits.
        public let page: Int64

        public init(execution: ExecutionID, part: Name? = nil, page: Int64) {
            self.execution = execution
            self.part = part
            self.page = page
        }

        /// Creates the key of the page that contains a report's number.
        public init(execution: ExecutionID, part: Name? = nil, report: Int64) {
            self.init(execution: execution, part: part, page: report >> 6)
        }

        public static func < (left: Key, right: Key) -> Bool {
            guard left.execution == right.execution else { return left.execution < right.execution }
            return left.part == right.part ? left.page < right.page : left.part ?? "" < right.part ?? ""
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
