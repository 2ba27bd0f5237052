internal import Ledger
internal import PQ
internal import Synchronization

/// Looks something up for whoever asks at the same time: who comes while one query is under way shares the next. So there
/// is no timer; with few who ask each has a query for itself, and with many it costs each of them little.
///
/// It runs on the reactor's thread, as the connections do.
final class BatchedLookup<Found: Sendable>: Sendable {
    /// What is told to whoever asks; nil where there is no such job.
    typealias Completion = @Sendable (Result<Found?, StoreError>) -> Void

    /// What was found, by job; those that there are not are left out.
    typealias Read = @Sendable ([JobID]) async throws(PQError) -> [JobID: Found]

    /// Who waits, at most: those beyond are refused, and may ask by themselves.
    private let waitersMax = 20_000

    private struct State {
        var waiting: [JobID: [Completion]] = [:]
        /// The jobs for which somebody waits, in the order in which they were asked for.
        var queue: [JobID] = []
        var waiterCount = 0
        var isRunning = false
    }

    private let reactor: Reactor
    private let jobsMax: Int
    private let read: Read
    private let state = Mutex(State())

    /// - Parameters:
    ///   - jobsMax: How many jobs are looked up in one query, at most.
    ///   - read: The query.
    init(on reactor: Reactor, jobsMax: Int, read: @escaping Read) {
        self.reactor = reactor
        self.jobsMax = jobsMax
        self.read = read
    }

    /// Tells what is found of a job. It was so at a moment after the call.
    ///
    /// - Parameter whenDone: Called once, on any thread; must not block.
    func ask(_ job: JobID, whenDone: @escaping Completion) {
        let (isTaken, begins) = state.withLock { state in
            guard state.waiterCount < waitersMax else { return (false, false) }
            if state.waiting[job] == nil { state.queue.append(job) }
            state.waiting[job, default: []].append(whenDone)
            state.waiterCount += 1
            defer { state.isRunning = true }
            return (true, !state.isRunning)
        }
        guard isTaken else {
            let message = "\(waitersMax) requests wait for a snapshot already"
            return whenDone(.failure(StoreError(.overloaded, message, retryAfter: .seconds(1))))
        }
        guard begins else { return }
        Task(name: "shared-lookup", executorPreference: reactor.taskExecutor) { await self.run() }
    }

    private func run() async {
        while let group = takeBatch() {
            let found: Result<[JobID: Found], StoreError>
            do throws(PQError) {
                found = .success(try await read(Array(group.keys)))
            } catch {
                found = .failure(StoreError(error, while: "looking at snapshots"))
            }
            for (job, answers) in group {
                let result = found.map { $0[job] }
                for answer in answers { answer(result) }
            }
        }
    }

    /// Those who wait; nil where nobody does, and then the run has ended.
    private func takeBatch() -> [JobID: [Completion]]? {
        state.withLock { state in
            guard !state.queue.isEmpty else {
                state.isRunning = false
                return nil
            }
            var group: [JobID: [Completion]] = [:]
            for job in state.queue.prefix(jobsMax) { group[job] = state.waiting.removeValue(forKey: job) }
            state.queue.removeFirst(group.count)
            state.waiterCount -= group.values.reduce(0) { $0 + $1.count }
            return group
        }
    }
}
