import Ledger
import LedgerStore
import LedgerTestSupport
import PQ
import Testing

@testable import LedgerProjection

@Suite("Events that are missing")
struct MissingEventTests {
    private static func reports(_ numbers: ClosedRange<Int64>) -> [EventDraft] {
        numbers.map { LargeLedger.progress(0, 1, report: $0) }
    }

    /// The cases of the missing event.
    ///
    /// In the first case, the event after it has exactly the number with which the whole job would continue.
    @Test("events after a missing event are folded into no job, and other jobs are folded", arguments: [4, 5])
    func missing(_ sequence: EventSequence) async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, projection: nil) { ledger in
                let step = ProjectionStep(pool: ledger.pool, settings: ProjectionSettings())
                let whole = try await ledger.createJob(JobDescription(name: "whole")).view.id
                let broken = try await ledger.createJob(JobDescription(name: "broken")).view.id
                #expect(try await ledger.append(Self.reports(1...2), to: broken).upperBound == 3)
                #expect(try await step.run([broken]).folded.map(\.sequence) == [3])
                #expect(try await ledger.append(Self.reports(3...5), to: broken).upperBound == 6)
                #expect(try await ledger.append(Self.reports(1...3), to: whole).upperBound == 4)
                let taken = try await tamper(
                    target, "delete from ledger.event where job_id = $1 and sequence = \(sequence)", [broken])
                #expect(taken == 1)

                for jobs in [[whole, broken], [broken, whole], [broken]] {
                    let error = await #expect(throws: PQError.self) { _ = try await step.run(jobs) }
                    #expect(error?.code == .decoding)
                    #expect(error?.message.contains(broken.description) == true, "\(String(describing: error))")
                }
                #expect(try await step.run([whole]).folded.map(\.sequence) == [4])
                let view = try #require(try await ledger.job(whole))
                #expect(view.snapshot.sequence == 4 && view.snapshot.indicators.map(\.counted.done) == [3])
                let stopped = try #require(try await ledger.job(broken))
                #expect(stopped.snapshot.sequence == 3 && stopped.snapshot.indicators.map(\.counted.done) == [2])
            }
        }
    }

    @Test("the search for a moment fails at a missing event instead of guessing")
    func missingMoment() async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, projection: nil) { ledger in
                let job = try await ledger.createJob(JobDescription(name: "n")).view.id
                #expect(try await ledger.append(Self.reports(1...7), to: job).upperBound == 8)
                let page = try await ledger.events(job, EventFilter(), after: nil, limit: 1)
                let created = try #require(page?.events.first).event.recordedAt
                let whole = try await ledger.job(job, at: .time(created), counting: .last)
                #expect(whole?.snapshot.sequence == 1)
                // The first of the events that the search reads.
                let taken = try await tamper(
                    target, "delete from ledger.event where job_id = $1 and sequence = 4", [job])
                #expect(taken == 1)
                let error = await #expect(throws: StoreError.self) {
                    try await ledger.job(job, at: .time(created), counting: .last)
                }
                #expect(error?.code == .incomplete)
                #expect(error?.message.contains("event 4 of job \(job)") == true)
            }
        }
    }
}
