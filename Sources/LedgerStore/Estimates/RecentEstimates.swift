internal import Ledger
internal import Synchronization

/// The latest estimates and stalls of running jobs, which serve further reads.
///
/// They do so for a second, while the job hardly changes. An estimate takes about half a millisecond of processor time,
/// and a job that reports often is read often. The estimate states the moment for which it was computed.
final class RecentEstimates: Sendable {
    /// The time for which an estimate serves further reads, in microseconds.
    private static let ageMax: Int64 = 1_000_000
    /// The maximum number of estimates, of some hundred bytes each.
    private static let countMax = 10_000

    /// An outlook with the sums of the snapshot that it was computed from.
    private struct Entry {
        let outlook: SnapshotReader.Outlook
        let sequence: Int64
        let sums: Sums
    }

    /// The sums over all indicators of a snapshot.
    private struct Sums {
        var indicators = 0
        var units = Units.zero

        init(_ snapshot: Snapshot) {
            indicators = snapshot.indicators.count
            for indicator in snapshot.indicators { units += indicator.counted }
        }
    }

    private let cache = Mutex(ClockCache<JobID, Entry>(costMax: countMax))

    /// Returns the latest estimate and stalls of a running job.
    ///
    /// Nil if they do not fit its snapshot.
    func outlook(of job: JobView, at now: Timestamp) -> SnapshotReader.Outlook? {
        guard job.snapshot.state == .running else { return nil }
        return cache.withLock { cache in
            cache.find(job.id) { entry in
                (0..<Self.ageMax).contains(now.microseconds - entry.outlook.estimate.at.microseconds)
                    && Self.fits(entry, job.snapshot)
            }
        }?.outlook
    }

    /// Whether two snapshots differ too little to be seen in an estimate.
    ///
    /// At most a hundredth of the units left is done since, and no other units were declared. An advance ends a stall,
    /// and an event ends a silence.
    private static func fits(_ entry: Entry, _ snapshot: Snapshot) -> Bool {
        guard snapshot.sequence != entry.sequence else { return true }
        let (before, after) = (entry.sums, Sums(snapshot))
        let done = after.units.done - before.units.done
        let left = before.units.total - before.units.done
        return entry.outlook.stalls?.isNone == true && after.indicators == before.indicators
            && after.units.total == before.units.total && done >= 0 && left > 0 && done * 100 <= left
    }

    /// Keeps an estimate that has a prediction.
    ///
    /// Without one, the next event may make one possible.
    func insert(_ outlook: SnapshotReader.Outlook, of job: JobView) {
        guard outlook.estimate.estimate.remaining != nil else { return }
        let entry = Entry(outlook: outlook, sequence: job.snapshot.sequence, sums: Sums(job.snapshot))
        cache.withLock { $0.put(entry, job.id) }
    }
}
