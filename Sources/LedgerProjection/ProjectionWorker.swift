internal import AsyncPrimitives
internal import Ledger
public import LedgerStore
public import Logging
internal import PQ
public import ServiceLifecycle

/// A service that folds appended events into snapshots.
///
/// Any number of workers in any number of processes share the work. A worker learns of work by hints. Because hints get
/// lost, it also checks all jobs periodically. The transactions of ``ProjectionStep`` guarantee that each event is
/// folded exactly once; neither the hints nor the number of workers matter for that.
public struct ProjectionWorker: Service {
    private let ledger: PostgresLedger
    private let settings: ProjectionSettings
    private let logger: Logger

    /// Creates a worker for this ledger, which must be running itself.
    public init(ledger: PostgresLedger, settings: ProjectionSettings = ProjectionSettings(), logger: Logger) {
        self.ledger = ledger
        self.settings = settings
        self.logger = logger
    }

    /// Runs until the task is cancelled or the service group shuts down.
    ///
    /// A step in progress is finished.
    public func run() async throws {
        await ledger.workerStarted()
        let queue = ledger.projectionQueue
        let scheduler = StepScheduler(queue: queue, settings: settings)
        let estimates = EstimateBuilder(ledger: ledger, settings: settings, logger: logger)
        queue.requestSweep()
        await withTaskCancellationOrGracefulShutdownHandler {
            await withDiscardingTaskGroup { sweeps in
                sweeps.addTask(name: "projection-sweeps") { await requestSweepsPeriodically(queue) }
                sweeps.addTask(name: "estimates") { await estimates.run() }
                await withDiscardingTaskGroup { steps in await runSteps(scheduler, estimates, in: &steps) }
                sweeps.cancelAll()
            }
        } onCancelOrGracefulShutdown: {
            queue.close()
        }
        await ledger.workerStopped()
    }

    private func requestSweepsPeriodically(_ queue: ProjectionQueue) async {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do { try await Task.sleep(for: settings.sweepInterval) } catch { return }
                queue.requestSweep()
            }
        }
    }

    /// Starts steps as work arrives, limited in number and rate.
    ///
    /// Work that arrives between two steps is folded together.
    private func runSteps(
        _ scheduler: StepScheduler, _ estimates: EstimateBuilder, in group: inout DiscardingTaskGroup
    ) async {
        let step = ProjectionStep(
            pool: ledger.pool, settings: settings, subscriptions: ledger.subscriptionMatcher, tracer: ledger.tracer)
        while true {
            await scheduler.acquireSlot()
            switch await scheduler.nextWork() {
            case .closed: return
            case .sweep:
                group.addTask(name: "projection-sweep") {
                    await sweep(step, scheduler)
                    await scheduler.sweepFinished()
                    await scheduler.releaseSlot()
                }
            case .jobs(let jobs):
                group.addTask(name: "projection-step") {
                    await fold(jobs, step, scheduler, estimates)
                    await scheduler.jobsFinished(jobs)
                    await scheduler.releaseSlot()
                }
                do { try await Task.sleep(for: settings.stepInterval) } catch { continue }
            }
        }
    }

    private func sweep(_ step: ProjectionStep, _ scheduler: StepScheduler) async {
        var cursor: JobID?
        var isAnyMissing = false
        repeat {
            do {
                let found = try await step.sweep(before: cursor)
                if !found.missing.isEmpty {
                    isAnyMissing = true
                    ledger.missingSnapshots.note(true)
                    try await restoreProjections(found.missing)
                }
                scheduler.queue.enqueue(found.behind + found.missing)
                cursor = found.next
            } catch {
                logger.warning("cannot search for jobs that are behind", metadata: ["error": "\(error)"])
                await ledger.stepFailed(of: [], error)
                return
            }
        } while cursor != nil && !Task.isCancelled
        if cursor == nil { ledger.missingSnapshots.note(isAnyMissing) }
    }

    /// Creates empty projections for these jobs; their events are folded next.
    private func restoreProjections(_ jobs: [JobID]) async throws {
        let made = try await ledger.restoreSnapshots(of: jobs)
        guard !made.isEmpty else { return }
        logger.warning(
            "projections were missing; rebuilding them",
            metadata: ["job.count": "\(made.count)", "job.first": "\(made.first?.description ?? "")"])
    }

    private func fold(
        _ jobs: [JobID], _ step: ProjectionStep, _ scheduler: StepScheduler, _ estimates: EstimateBuilder
    ) async {
        do {
            let result = try await step.run(jobs)
            if result.eventCount > 0 { ledger.stepCompleted(events: result.eventCount) }
            await ledger.snapshotsFolded(result.folded)
            scheduler.queue.enqueue(result.unfinished)
            estimates.enqueue(result.completed)
            if result.hasNotifications { ledger.notificationSignal.signal() }
            await ledger.clearStuck(await scheduler.recordSuccess(of: result.folded.map(\.job)))
            for (job, error) in result.damaged { await recordFailure(of: [job], error, scheduler) }
            try await handleUnclaimed(result.unclaimed, step, scheduler)
        } catch {
            // The worker must stop at once; the next worker folds these jobs.
            guard !Task.isCancelled else { return }
            // One job that cannot be stored must not block the others.
            guard jobs.count > 1, !((error as? PQError)?.isRetrySafe ?? false) else {
                await recordFailure(of: jobs, error, scheduler)
                return
            }
            for job in jobs { await fold([job], step, scheduler, estimates) }
        }
    }

    /// Handles jobs that were not claimed.
    ///
    /// Such a job is up to date, or its snapshot is missing, or another worker holds it. That worker may have read the
    /// job's events before the latest one was appended.
    private func handleUnclaimed(_ jobs: [JobID], _ step: ProjectionStep, _ scheduler: StepScheduler) async throws {
        guard !jobs.isEmpty else { return }
        let lag = try await step.lag(of: jobs)
        if !lag.held.isEmpty { await scheduler.retry(lag.held, after: settings.heldRetryPause) }
        if !lag.missing.isEmpty {
            try await restoreProjections(lag.missing)
            scheduler.queue.enqueue(lag.missing)
        }
        if !lag.foreign.isEmpty {
            let foreign = StoreError(
                .schema,
                "the projection or the schema belongs to another version of this program: run the version that migrated the "
                    + "database, and apply a replay to rebuild older projections", jobs: lag.foreign)
            await recordFailure(of: lag.foreign, foreign, scheduler)
        }
        guard !lag.broken.isEmpty else { return }
        let broken = lag.broken
        let missing = StoreError(
            .incomplete,
            "the next event is missing: its month was retired while the job was behind, or the event was removed",
            jobs: broken)
        await recordFailure(of: broken, missing, scheduler)
    }

    private func recordFailure(of jobs: [JobID], _ error: any Error, _ scheduler: StepScheduler) async {
        logger.error(
            "cannot fold events; trying again later",
            metadata: [
                "job.count": "\(jobs.count)", "job.first": "\(jobs.first?.description ?? "")",
                "error": "\(String(reflecting: error))",
            ])
        await ledger.stepFailed(of: jobs, error)
        await scheduler.retryWithBackoff(jobs)
    }
}
