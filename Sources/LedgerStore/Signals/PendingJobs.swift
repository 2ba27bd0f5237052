public import Ledger
internal import Synchronization

/// What a projection worker is to look at: jobs that were appended to, and now and then all of them.
///
/// A job that is named a thousand times is looked at once, and all get their turn in the order in which they were named:
/// however much is reported to some, no other waits longer than those before it take.
public final class PendingJobs: Sendable {
    /// More jobs than this are not remembered one by one: then all are looked at.
    private static let jobsMax = 100_000

    private struct State {
        var jobs: Set<JobID> = []
        /// The same, in their order.
        var queue: [JobID] = []
        var isSweepWanted = false
        /// Whether jobs were given out since the sweep was wanted.
        var isSweepPassedOver = false
        var isClosed = false
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    /// What there is to do.
    public enum Work: Sendable {
        /// Fold these jobs, if they are behind.
        case jobs([JobID])
        /// Look for jobs that are behind.
        case sweep
        /// No more.
        case closed
    }

    private let state = Mutex(State())

    public init() {}

    /// These jobs were appended to.
    public func appended(_ jobs: some Collection<JobID>) {
        guard !jobs.isEmpty else { return }
        wake { state in
            if state.jobs.count + jobs.count > Self.jobsMax {
                state.isSweepWanted = true
            } else {
                for job in jobs where state.jobs.insert(job).inserted { state.queue.append(job) }
            }
        }
    }

    /// Something may have been missed.
    public func requestSweep() {
        wake { $0.isSweepWanted = true }
    }

    /// No more work is given out; what was is finished.
    public func close() {
        wake { $0.isClosed = true }
    }

    /// How many jobs wait to be looked at.
    public var pendingJobCount: Int { state.withLock { $0.jobs.count } }

    /// The next work; waits until there is some. Jobs come before a sweep, at most `limit` of them, but not twice before the
    /// same one: what a sweep looks for was named by nobody, and must not wait until nobody names any.
    public func next(limit: Int) async -> Work {
        while true {
            if let work = take(limit) { return work }
            await withCheckedContinuation { continuation in
                let isThere = state.withLock { state in
                    guard state.jobs.isEmpty, !state.isSweepWanted, !state.isClosed else { return true }
                    state.waiters.append(continuation)
                    return false
                }
                if isThere { continuation.resume() }
            }
        }
    }

    private func take(_ limit: Int) -> Work? {
        state.withLock { state in
            if state.isClosed { return .closed }
            if !state.jobs.isEmpty, !(state.isSweepWanted && state.isSweepPassedOver) {
                state.isSweepPassedOver = state.isSweepWanted
                let jobs = Array(state.queue.prefix(limit))
                state.queue.removeFirst(jobs.count)
                state.jobs.subtract(jobs)
                return .jobs(jobs)
            }
            guard state.isSweepWanted else { return nil }
            state.isSweepWanted = false
            state.isSweepPassedOver = false
            return .sweep
        }
    }

    private func wake(_ change: (inout State) -> Void) {
        let waiters = state.withLock { state in
            change(&state)
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }
}
