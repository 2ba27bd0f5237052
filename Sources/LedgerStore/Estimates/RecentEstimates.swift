internal import Ledger
internal import Synchronization

/// The latest estimates and stalls of running jobs, which serve further reads.
///
/// They do so for a second. An estimate takes about half a millisecond of processor time, and a job that reports often is read often. The
/// estimate states the moment for which it was computed.
final class RecentEstimates: Sendable {
    /// The time for which an estimate serves further reads, in microseconds.
    private static let ageMax: Int64 = 1_000_000
    /// The maximum number of estimates, of some hundred bytes each.
    private static let countMax = 10_000

    private let cache = Mutex(ClockCache<JobID, SnapshotReader.Outlook>(costMax: countMax))

    /// Returns the latest estimate and stalls of a running job; nil without any.
    func outlook(of job: JobView, at now: Timestamp) -> SnapshotReader.Outlook? {
        guard job.snapshot.state == .running else { return nil }
        return cache.withLock { cache in
            cache.find(job.id) { (0..<Self.ageMax).contains(now.microseconds - $0.estimate.at.microseconds) }
        }
    }

    /// Keeps an estimate that has a prediction.
    ///
    /// Without one, the next event may make one possible.
    func insert(_ outlook: SnapshotReader.Outlook, of job: JobID) {
        guard outlook.estimate.estimate.remaining != nil else { return }
        cache.withLock { $0.put(outlook, job) }
    }
}
