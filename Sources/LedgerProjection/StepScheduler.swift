internal import Ledger
internal import LedgerStore

/// Hands out jobs to the steps of one process, so that no two steps take the same job, and puts off those that have to
/// wait.
actor StepScheduler {
    nonisolated let signals: PendingJobs
    private let settings: ProjectionSettings
    private var inProgress: Set<JobID> = []
    /// Jobs that were named requeued while they were under way.
    private var requeued: Set<JobID> = []
    private var pauses: [JobID: Duration] = [:]
    private var stepCount = 0
    private var isSweeping = false
    private var isSweepWanted = false
    /// Who gives out work, and waits while as many steps are under way as may be.
    private var waiter: CheckedContinuation<Void, Never>?

    init(signals: PendingJobs, settings: ProjectionSettings) {
        self.signals = signals
        self.settings = settings
    }

    /// Waits until another step may waitForSlot, and counts it. There is one who gives out work: only that one calls this.
    func waitForSlot() async {
        if stepCount == settings.concurrency {
            await withCheckedContinuation { waiter = $0 }
        }
        stepCount += 1
    }

    /// A step has ended that was counted by ``waitForSlot()``.
    func releaseSlot() {
        stepCount -= 1
        waiter?.resume()
        waiter = nil
    }

    /// The next work. Whoever gets jobs says when they are ``finished(_:)``, and whoever gets a sweep when it is
    /// ``sweepFinished()``: there is one at a time, however long it takes, so that steps go on.
    func next() async -> PendingJobs.Work {
        while true {
            let work = await signals.next(limit: settings.jobsPerStepMax)
            if case .sweep = work {
                guard !isSweeping else {
                    isSweepWanted = true
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

    func sweepFinished() {
        isSweeping = false
        if isSweepWanted { signals.requestSweep() }
        isSweepWanted = false
    }

    func finished(_ jobs: [JobID]) {
        inProgress.subtract(jobs)
        let named = requeued.intersection(jobs)
        requeued.subtract(named)
        signals.appended(named)
    }

    /// These jobs have moved on: a failure that comes later begins with the shortest pause.
    ///
    /// - Returns: Those of them that had failed before.
    func succeeded(_ jobs: [JobID]) -> [JobID] {
        guard !pauses.isEmpty else { return [] }
        return jobs.filter { pauses.removeValue(forKey: $0) != nil }
    }

    /// These jobs could not be folded: each time they wait twice as long.
    func failed(_ jobs: [JobID]) {
        for job in jobs {
            let pause = min((pauses[job] ?? settings.failurePause.first / 2) * 2, settings.failurePause.longest)
            pauses[job] = pause
            postpone([job], for: pause)
        }
    }

    func postpone(_ jobs: [JobID], for pause: Duration) {
        Task(name: "projection-postponed") { [signals] in
            do { try await Task.sleep(for: pause) } catch { return }
            signals.appended(jobs)
        }
    }
}
