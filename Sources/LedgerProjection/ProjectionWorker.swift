internal import Ledger
public import LedgerStore
public import Logging
internal import PQ
public import ServiceLifecycle

/// Folds what is appended into snapshots. Any number of workers, in any number of processes, share the work.
///
/// It learns of work by hints and, because hints get lost, by looking at all jobs now and then. The exactly-once of it
/// lies in the transactions of ``ProjectionStep``, not in the hints and not in who works.
public struct ProjectionWorker: Service {
    private let ledger: PostgresLedger
    private let settings: ProjectionSettings
    private let logger: Logger

    /// A worker on this ledger, which must be running itself.
    public init(ledger: PostgresLedger, settings: ProjectionSettings = ProjectionSettings(), logger: Logger) {
        self.ledger = ledger
        self.settings = settings
        self.logger = logger
    }

    /// Works until the task is cancelled or the service group shuts down; a step that is under way is finished.
    public func run() async throws {
        await ledger.workerStarted()
        let signals = ledger.signals
        let scheduler = StepScheduler(signals: signals, settings: settings)
        signals.requestSweep()
        await withTaskCancellationOrGracefulShutdownHandler {
            await withDiscardingTaskGroup { group in
                group.addTask(name: "projection-sweeps") { await sweepNowAndThen(signals) }
                await scheduleSteps(scheduler, to: &group)
            }
        } onCancelOrGracefulShutdown: {
            signals.close()
        }
        await ledger.workerStopped()
    }

    private func sweepNowAndThen(_ signals: PendingJobs) async {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do { try await Task.sleep(for: settings.sweepInterval) } catch { return }
                signals.requestSweep()
            }
        }
    }

    /// Gives out work as it comes in, no more than is wanted at the same time, and not faster than is wanted: what comes in
    /// meanwhile is folded together.
    private func scheduleSteps(_ scheduler: StepScheduler, to group: inout DiscardingTaskGroup) async {
        let step = ProjectionStep(pool: ledger.pool, settings: settings)
        while true {
            await scheduler.waitForSlot()
            switch await scheduler.next() {
            case .closed: return
            case .sweep:
                group.addTask(name: "projection-sweep") {
                    await sweep(step, scheduler)
                    await scheduler.sweepFinished()
                    await scheduler.releaseSlot()
                }
            case .jobs(let jobs):
                group.addTask(name: "projection-step") {
                    await fold(jobs, step, scheduler)
                    await scheduler.finished(jobs)
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
                    try await beginAgain(found.missing)
                }
                scheduler.signals.appended(found.behind + found.missing)
                cursor = found.next
            } catch {
                logger.warning("jobs that are behind could not be looked for", metadata: ["error": "\(error)"])
                await ledger.stepFailed(of: [], error)
                return
            }
        } while cursor != nil && !Task.isCancelled
        if cursor == nil { ledger.missingSnapshots.note(isAnyMissing) }
    }

    /// Makes the missing projections of these jobs requeued, empty: their events are folded next.
    private func beginAgain(_ jobs: [JobID]) async throws {
        let made = try await ledger.restoreSnapshots(of: jobs)
        guard !made.isEmpty else { return }
        logger.warning(
            "projections were missing and are built anew",
            metadata: ["job.count": "\(made.count)", "job.first": "\(made.first?.description ?? "")"])
    }

    private func fold(_ jobs: [JobID], _ step: ProjectionStep, _ scheduler: StepScheduler) async {
        do {
            let result = try await step.run(jobs)
            if result.eventCount > 0 { ledger.stepCompleted(events: result.eventCount) }
            await ledger.snapshotsFolded(result.folded)
            scheduler.signals.appended(result.unfinished)
            await ledger.clearStuck(await scheduler.succeeded(result.folded.map(\.job)))
            for (job, error) in result.damaged { await recordFailure(of: [job], error, scheduler) }
            try await recheck(result.unclaimed, step, scheduler)
        } catch {
            // Told to stop at once: whoever comes next folds them.
            guard !Task.isCancelled else { return }
            // One job that cannot be stored must not hold up the others.
            guard jobs.count > 1, !((error as? PQError)?.isRetrySafe ?? false) else {
                await recordFailure(of: jobs, error, scheduler)
                return
            }
            for job in jobs { await fold([job], step, scheduler) }
        }
    }

    /// A job that was not claimed is up to date, or its snapshot is missing, or another worker holds it, which may have
    /// read its events before the latest was there.
    private func recheck(_ jobs: [JobID], _ step: ProjectionStep, _ scheduler: StepScheduler) async throws {
        guard !jobs.isEmpty else { return }
        let lag = try await step.behind(jobs)
        if !lag.held.isEmpty { await scheduler.postpone(lag.held, for: settings.heldPause) }
        if !lag.missing.isEmpty {
            try await beginAgain(lag.missing)
            scheduler.signals.appended(lag.missing)
        }
        guard !lag.broken.isEmpty else { return }
        let broken = lag.broken
        let missing = StoreError(
            .incomplete, "its next event is not there: its month was retired while it was behind, or it was removed",
            jobs: broken)
        await recordFailure(of: broken, missing, scheduler)
    }

    private func recordFailure(of jobs: [JobID], _ error: any Error, _ scheduler: StepScheduler) async {
        logger.error(
            "events could not be folded; trying again later",
            metadata: [
                "job.count": "\(jobs.count)", "job.first": "\(jobs.first?.description ?? "")",
                "error": "\(String(reflecting: error))",
            ])
        await ledger.stepFailed(of: jobs, error)
        await scheduler.failed(jobs)
    }
}
