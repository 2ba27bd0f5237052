internal import Ledger
internal import LedgerStore

/// Assigns pending jobs to the steps of one process, and retries failed jobs later.
///
/// No two steps get the same job at the same time, and the number of steps and sweeps that run is limited by slots. The
/// worker's loop calls ``acquireSlot()`` and then ``nextWork()``. The work that it gets ends with ``jobsFinished(_:)``
/// or ``sweepFinished()``, followed by ``releaseSlot()``.
actor StepScheduler {
    nonisolated let queue: ProjectionQueue
    private let settings: ProjectionSettings
    /// Jobs that a step is folding.
    private var inProgress: Set<JobID> = []
    /// Jobs that were signalled again while in progress.
    private var requeued: Set<JobID> = []
    /// The last retry pause of each failed job.
    private var failurePauses: [JobID: Duration] = [:]
    private var usedSlots = 0
    private var isSweeping = false
    private var isSweepRequested = false
    /// The worker's loop while it waits for a free slot.
    private var slotWaiter: CheckedContinuation<Void, Never>?

    init(queue: ProjectionQueue, settings: ProjectionSettings) {
        self.queue = queue
        self.settings = settings
    }

    /// Waits until a slot is free and takes it.
    ///
    /// Only the worker's loop may call this: one caller can wait at a time.
    func acquireSlot() async {
        if usedSlots == settings.concurrency {
            await withCheckedContinuation { slotWaiter = $0 }
        }
        usedSlots += 1
    }

    /// Frees a slot taken by ``acquireSlot()``.
    func releaseSlot() {
        usedSlots -= 1
        slotWaiter?.resume()
        slotWaiter = nil
    }

    /// Waits for and returns the next work.
    ///
    /// Jobs must be ended with ``jobsFinished(_:)``, a sweep with ``sweepFinished()``. Only one sweep runs at a time.
    /// Steps continue during it, however long it takes.
    func nextWork() async -> ProjectionQueue.Work {
        while true {
            let work = await queue.next(limit: settings.jobsPerStepMax)
            if case .sweep = work {
                guard !isSweeping else {
                    isSweepRequested = true
                    continue
                }
                isSweeping = true
            }
            guard case .jobs(let jobs) = work else { return work }
            let free = jobs.filter { inProgress.insert($0).inserted }
            if free.count < jobs.count { requeued.formUnion(Set(jobs).subtracting(free)) }
            if !free.isEmpty { return .jobs(free) }
        }
    }

    /// Ends a sweep, and requests another one if it was requested during the sweep.
    func sweepFinished() {
        isSweeping = false
        if isSweepRequested { queue.requestSweep() }
        isSweepRequested = false
    }

    /// Ends the progress of these jobs, and signals those that were requeued.
    func jobsFinished(_ jobs: [JobID]) {
        inProgress.subtract(jobs)
        let signalled = requeued.intersection(jobs)
        requeued.subtract(signalled)
        queue.enqueue(signalled)
    }

    /// Resets the retry pauses of jobs that were folded.
    ///
    /// - Returns: Those of them that had failed before.
    func recordSuccess(of jobs: [JobID]) -> [JobID] {
        guard !failurePauses.isEmpty else { return [] }
        return jobs.filter { failurePauses.removeValue(forKey: $0) != nil }
    }

    /// Retries failed jobs after a pause that doubles with each failure.
    func retryWithBackoff(_ jobs: [JobID]) {
        for job in jobs {
            let pause = min(
                (failurePauses[job] ?? settings.failureRetryPause.first / 2) * 2, settings.failureRetryPause.longest)
            failurePauses[job] = pause
            retry([job], after: pause)
        }
    }

    /// Signals these jobs again after a pause.
    func retry(_ jobs: [JobID], after pause: Duration) {
        Task(name: "projection-postponed") { [queue] in
            do { try await Task.sleep(for: pause) } catch { return }
            queue.enqueue(jobs)
        }
    }
}
