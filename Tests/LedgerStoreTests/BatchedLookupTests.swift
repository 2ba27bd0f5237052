import Ledger
import PQ
import Synchronization
import Testing

@testable import LedgerStore

@Suite("Batched lookups")
struct BatchedLookupTests {
    private static func job(_ number: UInt64) -> JobID { JobID(high: 1, low: number) }

    /// The groups in which jobs are looked up.
    ///
    /// All jobs are requested while the first query runs.
    private func groups(of jobs: [JobID], jobsMax: Int) async -> [[JobID]] {
        let groups = Mutex<[[JobID]]>([])
        let gate = AsyncStream.makeStream(of: Void.self)
        let lookup = BatchedLookup<JobID>(on: .shared, jobsMax: jobsMax) { jobs throws(PQError) in
            let isFirst = groups.withLock { groups in
                groups.append(jobs)
                return groups.count == 1
            }
            // The first query blocks until all other requests wait.
            if isFirst { for await _ in gate.stream { break } }
            return Dictionary(uniqueKeysWithValues: jobs.map { ($0, $0) })
        }
        let (results, sink) = AsyncStream.makeStream(of: JobID?.self)
        func get(_ job: JobID) {
            lookup.get(job) { result in
                if case .success(let found) = result { sink.yield(found) } else { sink.finish() }
            }
        }
        get(Self.job(0))
        while groups.withLock({ $0.isEmpty }) { await Task.yield() }
        for job in jobs { get(job) }
        gate.continuation.yield()
        var found: [JobID] = []
        for await result in results {
            found += result.map { [$0] } ?? []
            if found.count == jobs.count + 1 { break }
        }
        #expect(found.count == jobs.count + 1)
        return groups.withLock { $0 }
    }

    @Test("requests that arrive during a query share the next ones, in order and up to the limit")
    func order() async {
        let jobs = (1...25).map { Self.job($0) }
        let groups = await groups(of: jobs + jobs, jobsMax: 10)
        #expect(groups.map { Set($0) } == [[Self.job(0)], Set(jobs[0..<10]), Set(jobs[10..<20]), Set(jobs[20...])])
    }
}
