internal import AsyncPrimitives
internal import DequeModule
public import Ledger
internal import Synchronization

/// A queue of jobs for the projection worker: jobs with new events, and sweeps.
///
/// A job that is named a thousand times is queued once. Jobs leave the queue in the order in which they were first
/// named, so a busy job cannot delay the others.
public final class ProjectionQueue: Sendable {
    /// The maximum number of queued jobs. Beyond it a sweep replaces them.
    private static let jobsMax = 100_000

    private struct State {
        var jobs: Set<JobID> = []
        /// The same jobs, in order.
        var queue: Deque<JobID> = []
        var isSweepRequested = false
        /// Whether jobs were returned since the sweep was requested.
        var isSweepDeferred = false
        var isClosed = false
    }

    /// The work for a projection worker.
    public enum Work: Sendable {
        /// Fold these jobs if they are behind.
        case jobs([JobID])
        /// Find the jobs that are behind.
        case sweep
        /// There is no more work.
        case closed
    }

    private let state = Mutex(State())
    private let signal = AsyncSignal()

    public init() {}

    /// Queues jobs to which events were appended.
    public func enqueue(_ jobs: some Collection<JobID>) {
        guard !jobs.isEmpty else { return }
        wake { state in
            if state.jobs.count + jobs.count > Self.jobsMax {
                state.isSweepRequested = true
            } else {
                for job in jobs where state.jobs.insert(job).inserted { state.queue.append(job) }
            }
        }
    }

    /// Requests a sweep, because a hint may have been lost.
    public func requestSweep() {
        wake { $0.isSweepRequested = true }
    }

    /// Ends the queue. Work that was returned before is finished.
    public func close() {
        wake { $0.isClosed = true }
    }

    /// The number of queued jobs.
    public var pendingJobCount: Int { state.withLock { $0.jobs.count } }

    /// Returns the next work, and waits until there is some.
    ///
    /// Only one task may wait at a time.
    ///
    /// Jobs come before a sweep, at most `limit` of them. But only one such batch precedes a requested sweep: otherwise
    /// a sweep would wait for as long as jobs are named, and the jobs that it has to find are not.
    public func next(limit: Int) async -> Work {
        while true {
            if let work = take(limit) { return work }
            guard !Task.isCancelled else { return .closed }
            await signal.wait()
        }
    }

    private func take(_ limit: Int) -> Work? {
        state.withLock { state in
            if state.isClosed { return .closed }
            if !state.jobs.isEmpty, !(state.isSweepRequested && state.isSweepDeferred) {
                state.isSweepDeferred = state.isSweepRequested
                let jobs = Array(state.queue.prefix(limit))
                state.queue.removeFirst(jobs.count)
                state.jobs.subtract(jobs)
                return .jobs(jobs)
            }
            guard state.isSweepRequested else { return nil }
            state.isSweepRequested = false
            state.isSweepDeferred = false
            return .sweep
        }
    }

    private func wake(_ change: (inout State) -> Void) {
        state.withLock { change(&$0) }
        signal.signal()
    }
}
