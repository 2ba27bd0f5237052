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
        await ledger.noteWorkerBegins()
        let signals = ledger.signals
        let desk = Desk(signals: signals, settings: settings)
        signals.wantSweep()
        await withTaskCancellationOrGracefulShutdownHandler {
            await withDiscardingTaskGroup { group in
                group.addTask(name: "projection-sweeps") { await sweepNowAndThen(signals) }
                await handOut(desk, to: &group)
            }
        } onCancelOrGracefulShutdown: {
            signals.close()
        }
        await ledger.noteWorkerEnds()
    }

    private func sweepNowAndThen(_ signals: ProjectionSignals) async {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do { try await Task.sleep(for: settings.sweepInterval) } catch { return }
                signals.wantSweep()
            }
        }
    }

    /// Gives out work as it comes in, no more than is wanted at the same time, and not faster than is wanted: what comes in
    /// meanwhile is folded together.
    private func handOut(_ desk: Desk, to group: inout DiscardingTaskGroup) async {
        let step = ProjectionStep(pool: ledger.pool, settings: settings)
        while true {
            await desk.begin()
            switch await desk.next() {
            case .closed: return
            case .sweep:
                group.addTask(name: "projection-sweep") {
                    await sweep(step, desk)
                    await desk.swept()
                    await desk.end()
                }
            case .jobs(let jobs):
                group.addTask(name: "projection-step") {
                    await fold(jobs, step, desk)
                    await desk.finished(jobs)
                    await desk.end()
                }
                do { try await Task.sleep(for: settings.stepInterval) } catch { continue }
            }
        }
    }

    private func sweep(_ step: ProjectionStep, _ desk: Desk) async {
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
                desk.signals.appended(found.behind + found.missing)
                cursor = found.next
            } catch {
                logger.warning("jobs that are behind could not be looked for", metadata: ["error": "\(error)"])
                await ledger.noteFailedStep(of: [], error)
                return
            }
        } while cursor != nil && !Task.isCancelled
        if cursor == nil { ledger.missingSnapshots.note(isAnyMissing) }
    }

    /// Makes the missing projections of these jobs again, empty: their events are folded next.
    private func beginAgain(_ jobs: [JobID]) async throws {
        let made = try await ledger.restoreSnapshots(of: jobs)
        guard !made.isEmpty else { return }
        logger.warning(
            "projections were missing and are built anew",
            metadata: ["job.count": "\(made.count)", "job.first": "\(made.first?.description ?? "")"])
    }

    private func fold(_ jobs: [JobID], _ step: ProjectionStep, _ desk: Desk) async {
        do {
            let result = try await step.run(jobs)
            if result.eventCount > 0 { ledger.noteStep(events: result.eventCount) }
            await ledger.noteFolded(result.folded)
            desk.signals.appended(result.unfinished)
            await ledger.noteMoving(await desk.succeeded(result.folded.map(\.job)))
            for (job, error) in result.damaged { await noteFailure(of: [job], error, desk) }
            try await lookAgain(result.unclaimed, step, desk)
        } catch {
            // Told to stop at once: whoever comes next folds them.
            guard !Task.isCancelled else { return }
            // One job that cannot be stored must not hold up the others.
            guard jobs.count > 1, !((error as? PQError)?.isRetrySafe ?? false) else {
                await noteFailure(of: jobs, error, desk)
                return
            }
            for job in jobs { await fold([job], step, desk) }
        }
    }

    /// A job that was not claimed is up to date, or its snapshot is missing, or another worker holds it, which may have
    /// read its events before the latest was there.
    private func lookAgain(_ jobs: [JobID], _ step: ProjectionStep, _ desk: Desk) async throws {
        guard !jobs.isEmpty else { return }
        let lag = try await step.behind(jobs)
        if !lag.held.isEmpty { await desk.postpone(lag.held, for: settings.heldPause) }
        if !lag.missing.isEmpty {
            try await beginAgain(lag.missing)
            desk.signals.appended(lag.missing)
        }
        guard !lag.broken.isEmpty else { return }
        let broken = lag.broken
        let missing = StoreError(
            .incomplete, "its next event is not there: its month was retired while it was behind, or it was removed",
            jobs: broken)
        await noteFailure(of: broken, missing, desk)
    }

    private func noteFailure(of jobs: [JobID], _ error: any Error, _ desk: Desk) async {
        logger.error(
            "events could not be folded; trying again later",
            metadata: [
                "job.count": "\(jobs.count)", "job.first": "\(jobs.first?.description ?? "")",
                "error": "\(String(reflecting: error))",
            ])
        await ledger.noteFailedStep(of: jobs, error)
        await desk.failed(jobs)
    }
}
