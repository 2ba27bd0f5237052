internal import Ledger
internal import Synchronization

/// The latest estimates and stalls of running jobs, which serve further reads.
///
/// They do so for a second, while the job does not become another one. An estimate takes some tenths of a millisecond
/// of processor time, as much as several appends, and a job that reports often is read often. The estimate states the
/// moment for which it was computed.
final class RecentEstimates: Sendable {
    /// The time for which an estimate serves further reads, in microseconds.
    private static let ageMax: Int64 = 1_000_000
    /// The maximum number of estimates, of some hundred bytes each.
    private static let countMax = 10_000

    /// An outlook with the sums of the snapshot that it was computed from.
    private struct Entry {
        let outlook: SnapshotReader.Outlook
        let sequence: EventSequence
        let sums: Sums
    }

    /// The sums over all indicators of a snapshot.
    private struct Sums {
        var indicators = 0
        var left: Int128 = 0

        init(_ snapshot: Snapshot) {
            indicators = snapshot.indicators.count
            for indicator in snapshot.indicators { left += indicator.counted.total - indicator.counted.done }
        }
    }

    private let cache = Mutex(BoundedCache<JobID, Entry>(costMax: countMax))

    /// Returns the latest estimate and stalls of a running job.
    ///
    /// Nil if they do not fit its snapshot.
    func outlook(of job: JobView, at now: Timestamp) -> SnapshotReader.Outlook? {
        guard job.snapshot.state == .running else { return nil }
        return cache.withLock { cache in
            cache.find(job.id) { entry in
                Self.isRecent(entry, at: now) && Self.fits(entry, job.snapshot)
            }
        }?.outlook
    }

    /// Returns the jobs among these that have an estimate of the last second.
    func jobs(among ids: [JobID], at now: Timestamp) -> Set<JobID> {
        cache.withLock { cache in
            Set(ids.filter { id in cache.peek(id).map { Self.isRecent($0, at: now) } ?? false })
        }
    }

    private static func isRecent(_ entry: Entry, at now: Timestamp) -> Bool {
        (0..<ageMax).contains(now.microseconds - entry.outlook.estimate.at.microseconds)
    }

    /// Whether two snapshots differ too little for a new estimate within a second.
    ///
    /// The units left have changed by at most half, and no label is new. An advance ends a stall, and an event ends a
    /// silence.
    private static func fits(_ entry: Entry, _ snapshot: Snapshot) -> Bool {
        guard snapshot.sequence != entry.sequence else { return true }
        let (before, after) = (entry.sums, Sums(snapshot))
        return entry.outlook.stalls?.isNone == true && after.indicators == before.indicators
            && before.left > 0 && after.left > 0 && 2 * (after.left - before.left).magnitude <= before.left.magnitude
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
