internal import Ledger
internal import LedgerStore
internal import PQ
internal import Synchronization

/// The states of recently folded jobs, kept for their next steps.
///
/// A step that has the state of a job need not read it, which saves a round trip and PostgreSQL's work for it. Memory
/// proves nothing: PostgreSQL may have undone the step after a crash, another worker may have folded the job further,
/// and a restore may have changed its history. A state is therefore taken only if the snapshot that the claim has
/// locked and read equals, column by column, the one that was stored with the state. Among the columns are the time of
/// the last event, the counts and the state of estimates, which another history would not have in common.
final class RecentFolds: Sendable {
    /// A folded state and how it was stored.
    ///
    /// It is a class because the cache moves its entries, and these are large.
    final class State: Sendable {
        let job: JobID
        let projection: Int16
        let fold: Fold
        let estimate: EstimateState
        /// The estimate's state as it was stored.
        let storedEstimate: [UInt8]

        /// Creates the state of a job after its events were folded.
        ///
        /// Nil if it has no state of estimates: that is built from the events and stored apart from the fold.
        init?(of job: ClaimedJobs.Job) {
            guard let estimate = job.estimate else { return nil }
            self.job = job.id
            projection = job.projection
            var fold = job.fold
            fold.removePages()
            self.fold = fold
            self.estimate = estimate
            storedEstimate = estimate.encoded
        }

        /// Its approximate memory in bytes.
        var bytes: Int { 2_048 + fold.memoryEstimateWithReports + estimate.memoryEstimate }

        func isStored(as snapshot: SnapshotRecord) -> Bool {
            projection == snapshot.projection && fold.progress == snapshot.progress
                && snapshot.estimate == storedEstimate
        }
    }

    private let bytesPerJobMax: Int
    private let cache: Mutex<BoundedCache<JobID, State>>

    /// - Parameters:
    ///   - bytesMax: The maximum memory of all states; 0 to keep none.
    ///   - bytesPerJobMax: The maximum memory of the state of one job.
    init(bytesMax: Int, bytesPerJobMax: Int) {
        self.bytesPerJobMax = bytesPerJobMax
        cache = Mutex(BoundedCache(costMax: bytesMax))
    }

    /// Removes and returns the state of a claimed job if it is the stored one.
    ///
    /// It is removed so that it is changed in place, and so that a step that fails leaves nothing.
    func take(_ job: JobID, storedAs snapshot: SnapshotRecord) -> State? {
        let state = cache.withLock { cache in
            let state = cache.peek(job)
            cache.remove(job)
            return state
        }
        guard let state, state.isStored(as: snapshot) else { return nil }
        return state
    }

    /// Remembers states after their step was committed.
    ///
    /// A state that has become too large is dropped. The next step reads the parts that it needs.
    func insert(_ states: [State]) {
        cache.withLock { cache in
            for state in states where state.bytes <= bytesPerJobMax {
                cache.put(state, state.job, cost: state.bytes)
            }
        }
    }
}
