internal import Ledger

/// Lets those who wait for a job's snapshot know when it has moved on.
///
/// What it is told are hints, and hints get lost: whoever waits looks at the database as well, now and then.
actor SnapshotNotifier {
    /// How many may wait at once.
    static let waitersMax = 20_000

    /// Why a wait has ended.
    enum WaitResult {
        /// The snapshot was just said to have reached the sequence.
        case reached
        /// It was said some time ago. A crash of PostgreSQL may have undone it since, so the database must say it too; if it
        /// does not, this is to be told by ``SnapshotNotifier/invalidate(_:)``.
        case wasReached
        /// Something makes it worth looking.
        case look
    }

    private struct Waiter {
        let sequence: Int64
        let continuation: CheckedContinuation<WaitResult, Never>
    }

    /// How many jobs' latest news are latest, for those who come a moment too late to hear them.
    private static let rememberedMax = 10_000

    private var waiters: [JobID: [Int: Waiter]] = [:]
    private var latest: [JobID: Int64] = [:]
    private var nextNumber = 0
    private var count = 0
    /// Those who hear of all jobs, instead of waiting for one.
    nonisolated let hearers = SnapshotObservers()

    /// The snapshot of a job has reached this sequence.
    func folded(_ job: JobID, _ sequence: Int64) {
        if latest.count >= Self.rememberedMax { latest = [:] }
        latest[job] = max(sequence, latest[job] ?? 0)
        hearers.tell(.folded(job, sequence: sequence))
        guard let waiting = waiters[job] else { return }
        for (number, waiter) in waiting where waiter.sequence <= sequence { finish(job, number, .reached) }
    }

    /// Something may have been missed: all look for themselves.
    func catchUp() {
        latest = [:]
        hearers.tell(.missed)
        for (job, waiting) in waiters { for number in waiting.keys { finish(job, number, .look) } }
    }

    /// What was said of this job does not hold any more.
    func invalidate(_ job: JobID) { latest[job] = nil }

    /// Waits until the snapshot is said to have reached this sequence, or until something makes it worth looking, at the
    /// latest after this time.
    func wait(_ job: JobID, for sequence: Int64, atMost duration: Duration) async -> WaitResult {
        if let reached = latest[job], reached >= sequence { return .wasReached }
        guard count < Self.waitersMax else {
            do { try await Task.sleep(for: duration) } catch { return .look }
            return .look
        }
        nextNumber += 1
        count += 1
        let number = nextNumber
        let timer = Task(name: "change-hub-timer") {
            do { try await Task.sleep(for: duration) } catch { return }
            finish(job, number, .look)
        }
        defer { timer.cancel() }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                guard !Task.isCancelled else {
                    count -= 1
                    continuation.resume(returning: .look)
                    return
                }
                waiters[job, default: [:]][number] = Waiter(sequence: sequence, continuation: continuation)
            }
        } onCancel: {
            Task(name: "change-hub-cancel") { await self.finish(job, number, .look) }
        }
    }

    private func finish(_ job: JobID, _ number: Int, _ outcome: WaitResult) {
        guard let waiter = waiters[job]?.removeValue(forKey: number) else { return }
        if waiters[job]?.isEmpty == true { waiters[job] = nil }
        count -= 1
        waiter.continuation.resume(returning: outcome)
    }
}
