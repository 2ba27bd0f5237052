extension LedgerStatus {
    /// The standby that serves reads of the past, as the server that responds sees it.
    public struct ReadReplica: Hashable, Sendable {
        /// The bytes of the primary's log that the standby has not replayed.
        ///
        /// Nil if it does not respond.
        public var lagBytes: Int64?
        /// The age of the last transaction that it replayed, or 0 if it has replayed all.
        ///
        /// Nil if it does not respond.
        public var lagSeconds: Double?
        /// The reads that it has served since the server started.
        public var reads: UInt64 = 0
        /// The reads that the primary served instead, because the standby lagged or failed.
        public var fallbacks: UInt64 = 0
        /// The reason why the primary serves the reads now; nil if the standby does.
        public var fault: String?

        public init() {}
    }
}
