/// One line of the table: something of ours beside its limit.
public struct BenchmarkRow: Sendable {
    /// The number of the row, as in the documentation.
    public let number: String
    /// What is measured, and beside what.
    public let work: String
    /// What `ours` and `limit` count.
    public let unit: String
    /// One figure for each round.
    public var ours: [Double] = []
    public var limit: [Double] = []
    /// The ratio to reach; nil where there is none.
    public var target: Double?
    /// Whether less is better, as with a lag or with memory: then the ratio must not exceed the target.
    public var isCeiling = false
    public var p50: Double?
    public var p99: Double?
    public var limitP50: Double?
    public var limitP99: Double?
    /// Processor time per million events, of the server and of PostgreSQL.
    public var serverSeconds: Double?
    public var postgresSeconds: Double?
    public var limitPostgresSeconds: Double?
    /// The server's peak of memory in bytes.
    public var memory: Int?
    /// Round trips for each group that was written.
    public var roundTrips: Double?
    /// What the numbers do not say.
    public var note = ""

    init(_ number: String, _ work: String, unit: String, target: Double? = nil) {
        self.number = number
        self.work = work
        self.unit = unit
        self.target = target
    }

    /// The number that rows are put in order by.
    var place: Int { Int(number) ?? 0 }
    /// Ours to the limit, round by round.
    public var ratios: [Double] { zip(ours, limit).map { $1 > 0 ? $0 / $1 : 0 } }
    /// Nil where there is nothing to reach.
    public var isReached: Bool? {
        guard let target, !ours.isEmpty else { return nil }
        let value = ratios.isEmpty ? ours.median : ratios.median
        return isCeiling ? value <= target : value >= target
    }
}

/// Everything that a run has found.
public struct BenchmarkReport: Sendable {
    public var machine: [(name: String, value: String)] = []
    public var rows: [BenchmarkRow] = []
    /// What was proved at the end of each part.
    public var proofs: [String] = []
}

extension [Double] {
    /// The middle one, or the mean of the two in the middle; 0 where there is none.
    public var median: Double {
        guard !isEmpty else { return 0 }
        let sorted = sorted()
        return count % 2 == 1 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2
    }
}
