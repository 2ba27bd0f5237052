import Ledger
import LedgerStore
import LedgerTestSupport
import Testing

/// Snapshots of past points in time and under other policies.
@Suite("Time travel")
struct HistoryTests {
    @Test("past snapshots equal the pure fold for every sequence, time and policy", arguments: [UInt64(31), 32])
    func agreesWithTheFold(seed: UInt64) async throws {
        try await withLedger { ledger in
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            var drafts = RandomHistory.events(count: 120, seed: seed).dropFirst().map { EventDraft($0.body) }[...]
            while !drafts.isEmpty {
                _ = try await ledger.append(Array(drafts.prefix(20)), to: job)
                drafts = drafts.dropFirst(20)
            }
            _ = try await ledger.waitUntilFolded(job, sequence: 120, deadline: .testTimeout)
            var fold = Fold()
            for policy in CountingPolicy.allCases {
                let empty = try #require(try await ledger.job(job, at: .sequence(0), counting: policy))
                #expect(empty.snapshot == fold.snapshot(policy))
            }
            let page = try #require(try await ledger.events(job, EventFilter(), after: nil, limit: 1_000))
            let events = page.events.map(\.event)
            #expect(events.count == 120)
            for (index, event) in events.enumerated() {
                try fold.apply(event)
                for policy in CountingPolicy.allCases {
                    let past = try #require(
                        try await ledger.job(job, at: .sequence(event.sequence), counting: policy))
                    #expect(past.snapshot == fold.snapshot(policy), "seed \(seed), \(event.sequence), \(policy)")
                    #expect(past.ledgerSequence == 120)
                }
                // A time selects the last of the events recorded at that time.
                let isLast = index + 1 == events.count || events[index + 1].recordedAt > event.recordedAt
                guard isLast else { continue }
                let past = try #require(try await ledger.job(job, at: .time(event.recordedAt), counting: .last))
                #expect(past.snapshot == fold.snapshot(), "seed \(seed), at the time of \(event.sequence)")
            }
            for policy in CountingPolicy.allCases {
                let now = try #require(try await ledger.job(job, counting: policy))
                #expect(now.snapshot == fold.snapshot(policy), "\(policy)")
            }
            let before = try #require(
                try await ledger.job(
                    job, at: .time(Timestamp(microseconds: events[0].recordedAt.microseconds - 1)), counting: .last))
            #expect(before.snapshot.sequence == 0)
            let unknown = try await ledger.job(JobID(high: 1, low: 2), at: .sequence(0), counting: .last)
            #expect(unknown == nil)
        }
    }

    @Test("past explanations, differences and histories equal the pure fold", arguments: [UInt64(33), 34])
    func explanationsAgreeWithTheFold(seed: UInt64) async throws {
        try await withLedger { ledger in
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            let drafts = RandomHistory.events(count: 200, seed: seed).dropFirst().map { EventDraft($0.body) }
            _ = try await ledger.append(Array(drafts), to: job)
            _ = try await ledger.waitUntilFolded(job, sequence: 200, deadline: .testTimeout)
            let page = try #require(try await ledger.events(job, EventFilter(), after: nil, limit: 1_000))
            let events = page.events.map(\.event)
            var fold = Fold(tracksChanges: false)
            var recorder = SnapshotDiffRecorder(from: fold, counting: .all, limit: 7)
            var points = IndicatorHistoryRecorder(nil, points: 20)
            for event in events {
                if event.sequence == 81 { recorder = SnapshotDiffRecorder(from: fold, counting: .all, limit: 7) }
                let decision = try fold.apply(event)
                recorder.record(event, decision, in: fold)
                points.record(event, decision, in: fold)
                guard event.sequence.number % 40 == 0 else { continue }
                for policy in CountingPolicy.allCases {
                    let result = try await ledger.explain(
                        job, nil, at: .sequence(event.sequence), counting: policy, limit: 5, after: nil)
                    guard let expected = fold.explanation(of: nil, counting: policy, limit: 5) else {
                        guard case .noSuchIndicator = result else { throw Unexpected() }
                        continue
                    }
                    guard case .found(let explanation) = result else { throw Unexpected() }
                    #expect(explanation == expected, "seed \(seed), \(policy) at \(event.sequence)")
                }
            }
            let difference = try await ledger.difference(
                job, from: .sequence(80), to: nil, counting: .all, limit: 7)
            #expect(difference == recorder.difference(to: fold), "seed \(seed)")
            guard case .found(let history) = try await ledger.history(job, nil, points: 20) else { throw Unexpected() }
            #expect(history == points.history(through: fold), "seed \(seed)")
            // Under the default policy the present comes from the stored projection, which must agree.
            guard
                case .found(let stored) = try await ledger.explain(
                    job, nil, at: nil, counting: .last, limit: 1_000, after: nil)
            else { throw Unexpected() }
            #expect(stored == fold.explanation(of: nil, counting: .last, limit: 1_000))
            let unknown = try await ledger.difference(
                JobID(high: 1, low: 2), from: .sequence(0), to: nil, counting: .last, limit: 1)
            #expect(unknown == nil)
        }
    }

    private struct Unexpected: Error {}

    @Test("too many concurrent folds are refused, and the others succeed")
    func concurrencyIsLimited() async throws {
        try await withLedger(projection: nil) { ledger in
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            let draft = EventDraft(.progress(ProgressReport(reference: ExecutionReference(task: "t"), done: 1)))
            _ = try await ledger.append(Array(repeating: draft, count: 10_000), to: job)
            let outcomes = await withTaskGroup(of: StoreError.Code?.self) { group in
                for _ in 0..<40 {
                    group.addTask {
                        do throws(StoreError) {
                            let view = try await ledger.job(job, at: .sequence(10_001), counting: .last)
                            #expect(view?.snapshot.indicators.first?.counted.done == 10_000)
                            return nil
                        } catch { return error.code }
                    }
                }
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(outcomes.contains(nil))
            #expect(outcomes.allSatisfy { $0 == nil || $0 == .overloaded }, "\(outcomes)")
            #expect(outcomes.contains(.overloaded))
        }
    }
}
