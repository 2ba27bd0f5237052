internal import Ledger
internal import PQ
internal import Synchronization

/// Reads the stamps of snapshots for whoever asks at the same time: who comes while one query is under way shares the
/// next. So there is no timer; with few who ask each has a query for itself, and with many it costs each of them little.
///
/// It runs on the reactor's thread, as the connections do.
final class StampDesk: Sendable {
    /// What is told to whoever asks.
    typealias Answer = @Sendable (Result<SnapshotStamp?, StoreError>) -> Void

    /// Who waits, at most: those beyond are refused.
    static let waitersMax = 20_000
    /// How many jobs are looked at in one query, at most.
    static let jobsMax = 1_000

    private struct State {
        var waiting: [JobID: [Answer]] = [:]
        var waiterCount = 0
        var isRunning = false
    }

    private let reader: SnapshotReader
    private let state = Mutex(State())

    init(reader: SnapshotReader) {
        self.reader = reader
    }

    /// Tells the stamp of a job; nil where there is none of this id.
    ///
    /// What is told was so at a moment after the call.
    func stamp(of job: JobID, whenDone: @escaping Answer) {
        let (isTaken, begins) = state.withLock { state in
            guard state.waiterCount < Self.waitersMax else { return (false, false) }
            state.waiting[job, default: []].append(whenDone)
            state.waiterCount += 1
            defer { state.isRunning = true }
            return (true, !state.isRunning)
        }
        guard isTaken else {
            let message = "\(Self.waitersMax) requests wait for a snapshot already"
            return whenDone(.failure(StoreError(.overloaded, message, retryAfter: .seconds(1))))
        }
        guard begins else { return }
        Task(name: "stamp-desk", executorPreference: reader.pool.reactor.taskExecutor) { await self.run() }
    }

    private func run() async {
        while let group = takeGroup() {
            let stamps: Result<[JobID: SnapshotStamp], StoreError>
            do throws(PQError) {
                stamps = .success(try await reader.stamps(Array(group.keys)))
            } catch {
                stamps = .failure(StoreError(error, while: "looking at snapshots"))
            }
            for (job, answers) in group {
                let result = stamps.map { $0[job] }
                for answer in answers { answer(result) }
            }
        }
    }

    /// Those who wait; nil where nobody does, and then the run has ended.
    private func takeGroup() -> [JobID: [Answer]]? {
        state.withLock { state in
            guard !state.waiting.isEmpty else {
                state.isRunning = false
                return nil
            }
            var group: [JobID: [Answer]] = [:]
            if state.waiting.count <= Self.jobsMax {
                swap(&group, &state.waiting)
            } else {
                for (job, answers) in state.waiting.prefix(Self.jobsMax) { group[job] = answers }
                for job in group.keys { state.waiting[job] = nil }
            }
            state.waiterCount -= group.values.reduce(0) { $0 + $1.count }
            return group
        }
    }
}
