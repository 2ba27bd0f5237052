internal import DequeModule
internal import Ledger
internal import PQ
internal import Synchronization

/// Batches concurrent lookups by job.
///
/// Requests that arrive while all queries run share the next one. There is no timer: an uncontended request has its own
/// query and is not delayed. Queries run on the reactor's thread, as the connections do.
final class BatchedLookup<Found: Sendable>: Sendable {
    /// The callback of a request. It gets nil if there is no such job.
    typealias Completion = @Sendable (Result<Found?, StoreError>) -> Void

    /// Reads values by job; leaves out jobs that do not exist.
    typealias Read = @Sendable ([JobID]) async throws(PQError) -> [JobID: Found]

    /// The maximum number of waiting requests; further ones are refused.
    private let waitersMax = 20_000

    private struct State {
        var waiting: [JobID: [Completion]] = [:]
        /// The jobs with waiting requests, in the order of arrival.
        var queue: Deque<JobID> = []
        var waiterCount = 0
        var runningCount = 0
    }

    private let reactor: Reactor
    private let jobsMax: Int
    private let queriesMax: Int
    private let read: Read
    private let state = Mutex(State())

    /// - Parameters:
    ///   - jobsMax: The maximum number of jobs in one query.
    ///   - queriesMax: The maximum number of queries at the same time. One shares the most; more wait less for others.
    ///   - read: The query.
    init(on reactor: Reactor, jobsMax: Int, queriesMax: Int = 1, read: @escaping Read) {
        self.reactor = reactor
        self.jobsMax = jobsMax
        self.queriesMax = queriesMax
        self.read = read
    }

    /// Looks up a job. The result is from a query that started after the call.
    ///
    /// - Parameter whenDone: Called once, on any thread; must not block.
    func get(_ job: JobID, whenDone: @escaping Completion) {
        let (isAccepted, isFree) = state.withLock { state in
            guard state.waiterCount < waitersMax else { return (false, false) }
            if state.waiting[job] == nil { state.queue.append(job) }
            state.waiting[job, default: []].append(whenDone)
            state.waiterCount += 1
            guard state.runningCount < queriesMax else { return (true, false) }
            state.runningCount += 1
            return (true, true)
        }
        guard isAccepted else {
            let message = "\(waitersMax) requests already wait for a snapshot"
            return whenDone(.failure(StoreError(.overloaded, message, retryAfter: .seconds(1))))
        }
        guard isFree else { return }
        // It reads for all callers, so it is not a part of the trace of one.
        Task.detached(name: "batched-lookup", executorPreference: reactor.taskExecutor) { await self.run() }
    }

    private func run() async {
        while let group = takeBatch() {
            let found: Result<[JobID: Found], StoreError>
            do throws(PQError) {
                found = .success(try await read(Array(group.keys)))
            } catch {
                found = .failure(StoreError(error, while: "reading snapshots"))
            }
            for (job, completions) in group {
                let result = found.map { $0[job] }
                for complete in completions { complete(result) }
            }
        }
    }

    /// Takes the requests of the next query; nil if there is none.
    ///
    /// Nil ends the loop, and the next request starts another one.
    private func takeBatch() -> [JobID: [Completion]]? {
        state.withLock { state in
            guard !state.queue.isEmpty else {
                state.runningCount -= 1
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
