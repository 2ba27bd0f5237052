extension LedgerStatus {
    /// One of the databases of a divided ledger.
    public struct Shard: Hashable, Sendable {
        public var number: Int
        /// The slots of which it gets the new jobs, of 1,024; 0 after it was drained.
        public var slots: Int
        /// The number of its jobs with a snapshot that lacks events.
        public var lag: Int64
        /// Why it does not respond; nil if it does.
        public var fault: String?

        public init(number: Int, slots: Int, lag: Int64, fault: String?) {
            self.number = number
            self.slots = slots
            self.lag = lag
            self.fault = fault
        }
    }
}
