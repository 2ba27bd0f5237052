/// A stored state that cannot be read: it was damaged, or a newer version wrote it. Replay the projection.
public struct FoldStateError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What is wrong with it.
    public let description: String

    init(_ description: String) {
        self.description = description
    }
}

/// Writes the parts of a fold's state that are kept as bytes: little-endian base-128 numbers (LEB128), one after
/// the other. Equal states have equal bytes.
struct StateWriter {
    private(set) var bytes: [UInt8] = []

    mutating func write(_ value: Int64) {
        var rest = UInt64(bitPattern: value)
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    mutating func write(_ value: Int128) {
        var rest = UInt128(bitPattern: value)
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    /// Writes a report; its number as the distance from the one before.
    mutating func write(_ entry: ReportNumbers.Entry, after previous: Int64) {
        write(entry.report - previous)
        write(entry.sequence)
        write(entry.indicator)
        write(entry.total)
        write(entry.done)
    }
}

/// Reads what ``StateWriter`` wrote.
struct StateReader {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    var isAtEnd: Bool { position == bytes.count }

    mutating func readInt128() throws(FoldStateError) -> Int128 {
        var value: UInt128 = 0
        var shift: UInt128 = 0
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            guard shift < 126 else { throw FoldStateError("a number has more than 126 bits") }
            value |= UInt128(byte & 0x7F) << shift
            if byte < 0x80 { return Int128(value) }
            shift += 7
        }
        throw FoldStateError("ends within a number")
    }

    mutating func readInt64() throws(FoldStateError) -> Int64 {
        guard let value = Int64(exactly: try readInt128()) else {
            throw FoldStateError("a number has more than 63 bits")
        }
        return value
    }

    /// How many things follow; refuses more than there can be.
    mutating func readCount(max: Int) throws(FoldStateError) -> Int {
        let count = try readInt64()
        guard count <= Int64(max) else { throw FoldStateError("\(count) entries, where \(max) are the most") }
        return Int(count)
    }

    mutating func readEntry(after previous: Int64) throws(FoldStateError) -> ReportNumbers.Entry {
        let (report, overflow) = previous.addingReportingOverflow(try readInt64())
        guard !overflow else { throw FoldStateError("a report number has more than 63 bits") }
        return ReportNumbers.Entry(
            report: report, sequence: try readInt64(), indicator: try readInt64(), total: try readInt64(),
            done: try readInt64())
    }
}

extension Execution {
    private static let encodingVersion: Int64 = 1

    /// Its contributions and newest report numbers, as they are stored.
    ///
    /// Version 1: the version; the highest archived report number; the number of contributions and for each the
    /// distance of its indicator from the one before, its events, its total and its done; the number of recent
    /// reports and for each the distance of its number from the one before, its sequence, indicator, total and
    /// done. All numbers LEB128. At most about 50 kB, mostly below 100 bytes.
    public var encodedState: [UInt8] {
        var writer = StateWriter()
        writer.write(Self.encodingVersion)
        writer.write(reports.archivedMax)
        writer.write(Int64(contributions.entries.count))
        var previous: Int64 = 0
        for entry in contributions.entries {
            writer.write(entry.indicator - previous)
            writer.write(entry.events)
            writer.write(entry.units.total)
            writer.write(entry.units.done)
            previous = entry.indicator
        }
        writer.write(Int64(reports.recent.count))
        previous = 0
        for entry in reports.recent {
            writer.write(entry, after: previous)
            previous = entry.report
        }
        return writer.bytes
    }

    /// Reads what ``encodedState`` wrote.
    ///
    /// - Throws: ``FoldStateError`` where the bytes are anything else.
    public static func decodeState(
        _ bytes: [UInt8]
    ) throws(FoldStateError) -> (contributions: ContributionTable, reports: ReportNumbers) {
        var reader = StateReader(bytes)
        let version = try reader.readInt64()
        guard version == encodingVersion else { throw FoldStateError("version \(version) of an execution's state") }
        let archivedMax = try reader.readInt64()
        let contributions = try readContributions(&reader)
        var recent: [ReportNumbers.Entry] = []
        for _ in 0..<(try reader.readCount(max: ReportNumbers.recentMax)) {
            recent.append(try reader.readEntry(after: recent.last?.report ?? 0))
        }
        guard reader.isAtEnd else { throw FoldStateError("goes on after its end") }
        guard let reports = ReportNumbers(recent: recent, archivedMax: archivedMax) else {
            throw FoldStateError("report numbers are not ascending")
        }
        return (contributions, reports)
    }

    private static func readContributions(_ reader: inout StateReader) throws(FoldStateError) -> ContributionTable {
        var entries: [ContributionTable.Entry] = []
        var previous: Int64 = 0
        for _ in 0..<(try reader.readCount(max: Limits.labelsPerExecutionMax)) {
            let (indicator, overflow) = previous.addingReportingOverflow(try reader.readInt64())
            guard !overflow else { throw FoldStateError("an indicator has more than 63 bits") }
            let events = try reader.readInt64()
            let units = Units(total: try reader.readInt128(), done: try reader.readInt128())
            entries.append(ContributionTable.Entry(indicator: indicator, events: events, units: units))
            previous = indicator
        }
        guard let contributions = ContributionTable(ascending: entries) else {
            throw FoldStateError("contributions are not ascending")
        }
        return contributions
    }
}
