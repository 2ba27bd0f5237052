import LedgerBenchmark
import LedgerWire

/// A benchmark report as a table and as JSON.
enum BenchmarkText {
    static func lines(_ report: BenchmarkReport) -> [String] {
        var table = Table([
            ("row", .right), ("work | limit", .left), ("ours", .right), ("limit", .right), ("ratio", .right),
            ("spread", .left), ("to reach", .right), ("", .left), ("p50/p99 ms", .right), ("limit's", .right),
            ("CPU s/M server+PG", .right), ("limit's", .right), ("peak MB", .right), ("round trips", .right),
        ])
        for row in report.rows { table.add(cells(row)) }
        var lines = report.machine.map { "\($0.name): \($0.value)" }
        lines += [""] + table.lines + [""]
        lines += report.rows.filter { !$0.note.isEmpty }.map { "\($0.number), \($0.work): \($0.note)" }
        return lines + report.proofs.map { "proved, \($0)" }
    }

    private static func cells(_ row: BenchmarkRow) -> [String] {
        let ratios = row.ratios
        let isBytes = row.unit == "bytes"
        func figure(_ values: [Double]) -> String {
            guard !values.isEmpty else { return "" }
            if isBytes { return "\(decimal(values.median / 1e6, 1)) MB" }
            return "\(decimal(values.median, values.median < 100 ? 2 : 0)) \(row.unit)"
        }
        func pair(_ first: Double?, _ second: Double?) -> String {
            guard let first, let second else { return "" }
            return "\(decimal(first, 2))/\(decimal(second, 2))"
        }
        let target = row.target.map { target in
            (row.isCeiling ? "≤ " : "") + (isBytes ? "\(decimal(target / 1e6, 0)) MB" : decimal(target, 2))
        }
        return [
            row.number, row.work, figure(row.ours), figure(row.limit),
            ratios.isEmpty ? "" : decimal(ratios.median, 2),
            ratios.isEmpty ? "" : "\(decimal(ratios.min() ?? 0, 2))–\(decimal(ratios.max() ?? 0, 2))", target ?? "",
            row.isReached.map { $0 ? "reached" : "missed" } ?? "", pair(row.p50, row.p99),
            pair(row.limitP50, row.limitP99),
            row.serverSeconds.flatMap { server in row.postgresSeconds.map { "\(decimal(server, 1))+\(decimal($0, 1))" }
            }
                ?? "",
            row.limitPostgresSeconds.map { decimal($0, 1) } ?? "",
            row.memory.map { decimal(Double($0) / 1e6, 0) } ?? "", row.roundTrips.map { decimal($0, 2) } ?? "",
        ]
    }

    /// A number with the given count of digits after the decimal point.
    private static func decimal(_ value: Double, _ digits: Int) -> String {
        let scale = digits == 0 ? 1 : digits == 1 ? 10 : 100
        let whole = Int64((abs(value) * Double(scale)).rounded())
        let sign = value < 0 ? "-" : ""
        guard digits > 0 else { return "\(sign)\(whole)" }
        let fraction = String(whole % Int64(scale))
        let zeros = String(repeating: "0", count: digits - fraction.count)
        return "\(sign)\(whole / Int64(scale)).\(zeros)\(fraction)"
    }

    /// The report as one line of JSON.
    static func json(_ report: BenchmarkReport) -> String {
        var writer = JSONWriter()
        writer.object { writer in
            writer.name("machine")
            writer.object { writer in
                for (name, value) in report.machine { writer.field(name, value) }
            }
            writer.name("rows")
            writer.array(report.rows, write)
            writer.name("proofs")
            writer.array(report.proofs) { $0.string($1) }
        }
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    private static func write(to writer: inout JSONWriter, _ row: BenchmarkRow) {
        writer.object { writer in
            writer.field("row", row.number)
            writer.field("work", row.work)
            writer.field("unit", row.unit)
            for (name, values) in [("ours", row.ours), ("limit", row.limit), ("ratios", row.ratios)] {
                writer.name(name)
                writer.array(values) { $0.number($1) }
            }
            writer.field("target", row.target)
            writer.field("is_ceiling", row.isCeiling)
            writer.name("is_reached")
            if let isReached = row.isReached { writer.bool(isReached) } else { writer.null() }
            writer.field("p50_ms", row.p50)
            writer.field("p99_ms", row.p99)
            writer.field("limit_p50_ms", row.limitP50)
            writer.field("limit_p99_ms", row.limitP99)
            writer.field("server_seconds_per_million", row.serverSeconds)
            writer.field("postgres_seconds_per_million", row.postgresSeconds)
            writer.field("limit_postgres_seconds_per_million", row.limitPostgresSeconds)
            writer.field("peak_memory_bytes", row.memory)
            writer.field("round_trips_per_group", row.roundTrips)
            writer.field("note", row.note)
        }
    }
}
