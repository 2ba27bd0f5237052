/// Whether a ledger can do its work.
public struct Readiness: Sendable {
    /// One requirement.
    public struct Check: Sendable {
        /// The subject of the check.
        ///
        /// One of `database`, `schema`, `writing`, `projection`, `guarantees`, `partitions`, `appends` and
        /// `settlement`.
        public var name: String
        /// Whether the requirement is met.
        public var isPassed: Bool
        /// Whether the requirement is met, but will not be unless an operator acts.
        public var isWarning: Bool
        /// The finding and, if the check failed or warns, the remedy.
        public var detail: String

        public init(name: String, isPassed: Bool, isWarning: Bool = false, detail: String) {
            self.name = name
            self.isPassed = isPassed
            self.isWarning = isWarning
            self.detail = detail
        }
    }

    /// The requirements that were checked.
    public var checks: [Check]

    public init(checks: [Check]) {
        self.checks = checks
    }

    /// Whether every check passed.
    public var isReady: Bool { checks.allSatisfy(\.isPassed) }
}
