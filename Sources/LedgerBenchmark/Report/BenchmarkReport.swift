/// A row of the table: a measurement of the ledger and its limit.
public struct BenchmarkRow: Sendable {
    /// The number of the row, as in the documentation.
    public let number: String
    /// The measurement and, after "|", its limit.
    public let work: String
    /// The unit of `ours` and `limit`.
    public let unit: String
    /// The ledger's result of each round.
    public var ours: [Double] = []
    /// The limit's result of each round.
    public var limit: [Double] = []
    /// The target of the ratio, or of the value if there is no limit.
    ///
    /// It is nil if there is nothing to reach.
    public var target: Double?
    /// Whether the target is a maximum, as for a lag or for memory.
    public var isCeiling = false
    /// The median latency of the ledger, in milliseconds.
    public var p50: Double?
    /// The 99th percentile of the ledger's latency, in milliseconds.
    public var p99: Double?
    /// The median latency of the limit, in milliseconds.
    public var limitP50: Double?
    /// The 99th percentile of the limit's latency, in milliseconds.
    public var limitP99: Double?
    /// The processor time of the server per million events, in seconds.
    public var serverSeconds: Double?
    /// The processor time of PostgreSQL per million events, in seconds.
    public var postgresSeconds: Double?
    /// The processor time of PostgreSQL per million events of the limit, in seconds.
    public var limitPostgresSeconds: Double?
    /// The peak of the server's memory, in bytes.
    public var memory: Int?
    /// The round trips to PostgreSQL per group of events written together.
    public var roundTrips: Double?
    /// A remark on the results.
    public var note = ""

    init(_ number: String, _ work: String, unit: String, target: Double? = nil) {
        self.number = number
        self.work = work
        self.unit = unit
        self.target = target
    }

    /// The number of the row for sorting.
    var sortNumber: Int { Int(number) ?? 0 }
    /// The ratio of the ledger to the limit, for each round.
    public var ratios: [Double] { zip(ours, limit).map { $1 > 0 ? $0 / $1 : 0 } }
    /// Whether the target is reached; nil if there is none.
    public var isReached: Bool? {
        guard let target, !ours.isEmpty else { return nil }
        let value = ratios.isEmpty ? ours.median : ratios.median
        return isCeiling ? value <= target : value >= target
    }
}

/// The results of a benchmark.
public struct BenchmarkReport: Sendable {
    /// The description of the machine and of PostgreSQL's settings.
    public var machine: [(name: String, value: String)] = []
    /// The rows of the table.
    public var rows: [BenchmarkRow] = []
    /// The statements that were proved at the end of each part.
    public var proofs: [String] = []
}

extension [Double] {
    /// The median, or 0 if there are no values.
    public var median: Double {
        guard !isEmpty else { return 0 }
        let sorted = sorted()
        return count % 2 == 1 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2
    }
}
