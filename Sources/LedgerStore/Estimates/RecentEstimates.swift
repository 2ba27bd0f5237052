internal import Ledger
internal import Synchronization

/// The latest estimates of running jobs, which serve further reads for a second.
///
/// An estimate takes about a millisecond of processor time, and a job that reports often is read often. The estimate
/// states the moment for which it was computed.
final class RecentEstimates: Sendable {
    /// The time for which an estimate serves further reads, in microseconds.
    private static let ageMax: Int64 = 1_000_000
    /// The maximum number of estimates, of some hundred bytes each.
    private static let countMax = 10_000

    private let cache = Mutex(ClockCache<JobID, JobEstimate>(costMax: countMax))

    /// Returns the latest estimate of a running job.
    ///
    /// Nil if there is none, and for a past moment.
    func estimate(_ question: EstimateReader.Question) -> JobEstimate? {
        guard question.past == nil, question.view.snapshot.state == .running else { return nil }
        let now = question.moment.microseconds
        return cache.withLock { cache in
            cache.find(question.view.id) { (0..<Self.ageMax).contains(now - $0.at.microseconds) }
        }
    }

    /// Keeps an estimate that has a prediction.
    ///
    /// Without one, the next event may make one possible.
    func insert(_ estimate: JobEstimate, _ question: EstimateReader.Question) {
        guard question.past == nil, estimate.estimate.remaining != nil else { return }
        cache.withLock { $0.put(estimate, question.view.id) }
    }
}
