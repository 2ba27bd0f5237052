internal import Ledger

/// Wakes callers that wait for a job's snapshot to move.
///
/// It depends on hints, which can get lost: callers must also poll the database.
actor SnapshotNotifier {
    /// The maximum number of concurrent waiters.
    static let waitersMax = 20_000

    /// The reason why a wait ended.
    enum WaitResult {
        /// The snapshot has just reached the sequence, according to a hint.
        case reached
        /// An earlier hint said so.
        ///
        /// A crash of PostgreSQL may have undone the snapshot since, so the caller must confirm it by the database. If
        /// the database has an older one, the caller must call ``SnapshotNotifier/invalidate(_:)``.
        case reachedEarlier
        /// The caller should read the database.
        case recheck
    }

    private struct Waiter {
        let sequence: EventSequence
        let continuation: CheckedContinuation<WaitResult, Never>
    }

    /// The number of latest sequences that are kept for callers that arrive late.
    private static let latestMax = 10_000

    private var waiters: [JobID: [Int: Waiter]] = [:]
    private var latest: [JobID: EventSequence] = [:]
    private var nextNumber = 0
    private var count = 0
    /// The observers of all jobs.
    nonisolated let observers = SnapshotObservers()

    /// Records that the snapshot of a job has reached this sequence.
    func folded(_ job: JobID, _ sequence: EventSequence) {
        if latest.count >= Self.latestMax { latest = [:] }
        latest[job] = max(sequence, latest[job] ?? 0)
        observers.notify(.folded(job, sequence: sequence))
        guard let jobWaiters = waiters[job] else { return }
        for (number, waiter) in jobWaiters where waiter.sequence <= sequence { finish(job, number, .reached) }
    }

    /// Makes every waiter and observer read the database: hints may have been lost.
    func catchUp() {
        latest = [:]
        observers.notify(.missed)
        for (job, jobWaiters) in waiters { for number in jobWaiters.keys { finish(job, number, .recheck) } }
    }

    /// Discards the latest sequence of this job.
    func invalidate(_ job: JobID) { latest[job] = nil }

    /// Waits until a hint reports this sequence, or until the caller should recheck.
    ///
    /// Returns after this time at the latest.
    func wait(_ job: JobID, for sequence: EventSequence, atMost duration: Duration) async -> WaitResult {
        if let reached = latest[job], reached >= sequence { return .reachedEarlier }
        guard count < Self.waitersMax else {
            do { try await Task.sleep(for: duration) } catch { return .recheck }
            return .recheck
        }
        nextNumber += 1
        count += 1
        let number = nextNumber
        let timer = Task(name: "snapshot-wait-timer") {
            do { try await Task.sleep(for: duration) } catch { return }
            finish(job, number, .recheck)
        }
        defer { timer.cancel() }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                guard !Task.isCancelled else {
                    count -= 1
                    continuation.resume(returning: .recheck)
                    return
                }
                waiters[job, default: [:]][number] = Waiter(sequence: sequence, continuation: continuation)
            }
        } onCancel: {
            Task(name: "snapshot-wait-cancel") { await self.finish(job, number, .recheck) }
        }
    }

    private func finish(_ job: JobID, _ number: Int, _ result: WaitResult) {
        guard let waiter = waiters[job]?.removeValue(forKey: number) else { return }
        if waiters[job]?.isEmpty == true { waiters[job] = nil }
        count -= 1
        waiter.continuation.resume(returning: result)
    }
}
