import Ledger
import LedgerTestSupport
import Testing

@testable import LedgerStore

@Suite("Explanations")
struct ExplainTests {
    private func explanation(
        _ ledger: PostgresLedger, _ job: JobID, _ label: Name?, pagesOf limit: Int
    ) async throws -> Explanation {
        var whole: Explanation?
        var cursor: Explanation.Cursor?
        repeat {
            guard
                case .found(let page) = try await ledger.explain(
                    job, label, at: nil, counting: .last, limit: limit, after: cursor)
            else {
                Issue.record("no such indicator")
                break
            }
            #expect(page.entries.count <= limit)
            if whole == nil { whole = page } else { whole?.entries += page.entries }
            cursor = page.nextCursor
        } while cursor != nil
        return try #require(whole)
    }

    @Test(
        "every unit is accounted for by execution, and the sum equals the snapshot's number",
        arguments: [UInt64(21), 22, 23, 24])
    func accountsForEveryUnit(seed: UInt64) async throws {
        try await withLedger { ledger in
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            let drafts = RandomHistory.events(count: 500, seed: seed).dropFirst().map { EventDraft($0.body) }
            _ = try await ledger.append(Array(drafts), to: job)
            _ = try await ledger.waitUntilFolded(job, sequence: 500, deadline: .testTimeout)
            var fold = Fold()
            var position: EventSequence? = 0
            while let after = position {
                let page = try #require(try await ledger.events(job, EventFilter(), after: after, limit: 250))
                for event in page.events { try fold.apply(event.event) }
                position = page.nextAfter
            }
            let discards = try fold.takeChanges().discards
            let snapshot = try #require(try await ledger.job(job)).snapshot
            for state in fold.indicatorStates {
                for limit in [2, 1_000] {
                    let found = try await explanation(ledger, job, state.label, pagesOf: limit)
                    #expect(found.sequence == 500)
                    #expect(found.indicator == state)
                    let shown = snapshot.indicators.first { $0.label == state.label }?.counted ?? .zero
                    #expect(found.entries.reduce(.zero) { $0 + $1.counted } == shown, "seed \(seed)")
                    #expect(found.entries.reduce(.zero) { $0 + $1.superseded } == state.superseded, "seed \(seed)")
                    #expect(found.entries.reduce(.zero) { $0 + $1.discarded } == state.discarded, "seed \(seed)")
                    for entry in found.entries {
                        let execution = try #require(
                            fold.executionStates.first { $0.id == entry.execution.id })
                        let reported = execution.contributions.entries.first { $0.indicator == state.id }?.units
                        #expect(entry.reported == reported ?? .zero)
                        #expect(entry.supersededBy?.id == execution.supersededBy)
                        let thrownAway = discards.filter {
                            $0.execution == execution.id && $0.indicator == state.id
                        }
                        #expect(entry.discarded == thrownAway.reduce(.zero) { $0 + $1.units })
                    }
                }
            }
        }
    }

    @Test("a label in events that no snapshot includes is known, with and without a live snapshot")
    func labelsWithoutSnapshot() async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, projection: nil) { ledger in
                let job = try await ledger.createJob(JobDescription(name: "n")).view.id
                let report = ProgressReport(reference: ExecutionReference(task: "t"), label: "units", done: 1)
                _ = try await ledger.append([EventDraft(.progress(report))], to: job)
                let reader = ExplainReader(pool: ledger.pool)
                func namedLabels() async throws -> [Name?] {
                    var named: [Name?] = []
                    for label in ["units", "unknown", nil] as [Name?] where try await reader.isNamed(label, in: job) {
                        named.append(label)
                    }
                    return named
                }
                #expect(try await namedLabels() == ["units"])
                #expect(try await tamper(target, "delete from ledger.snapshot where job_id = $1", [job]) == 1)
                #expect(try await namedLabels() == ["units"])
            }
        }
    }

    @Test("an unknown job and an unknown label are reported as such")
    func unknown() async throws {
        try await withLedger { ledger in
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            guard
                case .noSuchIndicator = try await ledger.explain(
                    job, "x", at: nil, counting: .last, limit: 1, after: nil)
            else {
                Issue.record("found an indicator that does not exist")
                return
            }
            guard
                case .noSuchJob = try await ledger.explain(
                    JobID(high: 1, low: 2), nil, at: nil, counting: .last, limit: 1, after: nil)
            else {
                Issue.record("found a job that does not exist")
                return
            }
        }
    }
}
