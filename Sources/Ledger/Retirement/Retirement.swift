/// The record that the events of a job were exported and removed from the ledger.
///
/// The job and its head stay. The hash of the head proves that an export is complete and unchanged.
public struct Retirement: Hashable, Sendable {
    /// A file that contains the events of retired jobs.
    public struct Export: Hashable, Sendable {
        /// The SHA-256 of the file.
        public var sha256: EventHash
        /// The place of the file: a path or a URL.
        public var place: String

        public init(sha256: EventHash, place: String) {
            self.sha256 = sha256
            self.place = place
        }
    }

    public var job: JobID
    /// The last event of the job.
    public var position: ChainPosition
    public var export: Export
    public var retiredAt: Timestamp
    /// The login of the database that retired the job.
    public var retiredBy: String

    public init(
        job: JobID, position: ChainPosition, export: Export, retiredAt: Timestamp, retiredBy: String
    ) {
        self.job = job
        self.position = position
        self.export = export
        self.retiredAt = retiredAt
        self.retiredBy = retiredBy
    }
}
