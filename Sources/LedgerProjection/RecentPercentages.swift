internal import Ledger
internal import LedgerStore
internal import Synchronization

/// The percentages of jobs after their latest steps.
///
/// Subscriptions to thresholds need them. The next step of a job then reads only the indicators that its events change.
/// An entry is also right if its step was undone, or if another process has folded the same events: they have one
/// result.
final class RecentPercentages: Sendable {
    private struct Entry {
        let projection: Int16
        let sequence: EventSequence
        let sum: PercentageSum
    }

    /// The maximum number of jobs, of some hundred bytes each.
    private static let jobsMax = 20_000

    private let cache = Mutex(BoundedCache<JobID, Entry>(costMax: jobsMax))

    /// The sum of a claimed job before its events; nil if it is not known.
    func sum(of job: ClaimedJobs.Job) -> PercentageSum? {
        cache.withLock { cache in
            cache.find(job.id) { $0.projection == job.projection && $0.sequence == job.fold.progress.sequence }
        }?.sum
    }

    /// Remembers the sum after a job's events.
    func insert(_ changes: StateChanges.JobChanges) {
        guard let sum = changes.percentage else { return }
        let entry = Entry(
            projection: changes.projection, sequence: changes.changes.progress.sequence, sum: sum)
        cache.withLock { $0.put(entry, changes.job) }
    }
}
