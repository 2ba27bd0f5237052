extension Execution {
    private static let encodingVersion: Int64 = 1

    /// The encoding of its contributions and newest report numbers, for storage.
    ///
    /// Version 1: the version; the highest archived report number; the number of contributions and, for each, the
    /// difference of its indicator from the previous one, its events, its total and its done; the number of recent
    /// reports and, for each, the difference of its number from the previous one, its sequence, indicator, total and
    /// done. All numbers are LEB128. The size is at most about 50 kB and usually below 100 bytes.
    public var encodedState: [UInt8] {
        var writer = StateWriter()
        writer.write(Self.encodingVersion)
        encodeReports(to: &writer)
        return writer.bytes
    }

    /// Writes everything of the ``encodedState`` after its version.
    func encodeReports(to writer: inout StateWriter) {
        writer.write(reports.archivedMax)
        writer.write(Int64(contributions.entries.count))
        var previous: Int64 = 0
        for entry in contributions.entries {
            writer.write(entry.indicator.sequence.number - previous)
            writer.write(entry.events)
            writer.write(entry.units.total)
            writer.write(entry.units.done)
            previous = entry.indicator.sequence.number
        }
        writer.write(Int64(reports.recent.count))
        previous = 0
        for entry in reports.recent {
            writer.write(entry, after: previous)
            previous = entry.report
        }
    }

    /// Decodes an ``encodedState``.
    ///
    /// - Throws: ``FoldStateError`` if the bytes are anything else.
    public static func decodeState(
        _ bytes: [UInt8]
    ) throws(FoldStateError) -> (contributions: ContributionTable, reports: ReportNumbers) {
        var reader = StateReader(bytes)
        let version = try reader.readInt64()
        guard version == encodingVersion else {
            throw FoldStateError("unknown version \(version) of an execution's state")
        }
        let state = try decodeReports(&reader)
        guard reader.isAtEnd else { throw FoldStateError("has extra bytes after its end") }
        return state
    }

    /// Reads the output of ``encodeReports(to:)``.
    static func decodeReports(
        _ reader: inout StateReader
    ) throws(FoldStateError) -> (contributions: ContributionTable, reports: ReportNumbers) {
        let archivedMax = try reader.readInt64()
        let contributions = try readContributions(&reader)
        var recent: [ReportNumbers.Entry] = []
        let count = try reader.readCount(max: ReportNumbers.recentMax)
        recent.reserveCapacity(count)
        for _ in 0..<count {
            recent.append(try reader.readEntry(after: recent.last?.report ?? 0))
        }
        guard let reports = ReportNumbers(recent: recent, archivedMax: archivedMax) else {
            throw FoldStateError("report numbers are not ascending")
        }
        return (contributions, reports)
    }

    private static func readContributions(_ reader: inout StateReader) throws(FoldStateError) -> ContributionTable {
        var entries: [ContributionTable.Entry] = []
        var previous: Int64 = 0
        let count = try reader.readCount(max: Limits.labelsPerExecutionMax)
        entries.reserveCapacity(count)
        for _ in 0..<count {
            let (indicator, overflow) = previous.addingReportingOverflow(try reader.readInt64())
            guard !overflow else { throw FoldStateError("an indicator has more than 63 bits") }
            let events = try reader.readInt64()
            let units = Units(total: try reader.readInt128(), done: try reader.readInt128())
            entries.append(
                ContributionTable.Entry(indicator: IndicatorID(EventSequence(indicator)), events: events, units: units))
            previous = indicator
        }
        guard let contributions = ContributionTable(ascending: entries) else {
            throw FoldStateError("contributions are not ascending")
        }
        return contributions
    }
}
