import Ledger
import LedgerStore
import LedgerTestSupport
import Testing

/// The contract of `LedgerService`: everything that is derived from a job's events.
@Suite("Contract of a ledger: reading")
struct LedgerServiceContractReadingTests {
    /// A task with a zombie, a repeated report and a superseded success.
    private static let retries: [EventBody] = [
        .units("t", attempt: 1, done: 3), .units("t", attempt: 2, report: 1, done: 1),
        .units("t", attempt: 1, done: 5), .units("t", attempt: 2, report: 1, done: 1),
        .units("t", attempt: 2, report: 1, done: 2), .finish("t", attempt: 2), .start("t", "x"),
        .start("t", "x", attempt: 9),
    ]

    @Test("an execution has the reporter of its first event, at any moment", arguments: LedgerImplementation.allCases)
    func executionReporters(_ implementation: LedgerImplementation) async throws {
        try await implementation.withLedger { ledger in
            let job = try await ledger.createJob(JobDescription(name: "j")).view.id
            func start(_ task: Name, _ execution: Name, by reporter: Name?) -> EventDraft {
                EventDraft(
                    .executionStarted(ExecutionReference(task: task, execution: execution)), reporter: reporter)
            }
            let drafts = [
                start("a", "1", by: "token:a"), start("a", "1", by: "token:b"), start("a", "2", by: nil),
                start("b", "1", by: "token:é"),
            ]
            _ = try await ledger.append(drafts, to: job)
            #expect(try await ledger.waitUntilFolded(job, sequence: 5, deadline: .testTimeout))
            func reporters(_ page: TaskPage?) throws -> [[Name?]] {
                try #require(page).tasks.map { $0.executions.map(\.reporter) }
            }
            let now = try await ledger.tasks(job, state: nil, limit: 10, after: nil)
            #expect(try reporters(now) == [["token:a", nil], ["token:é"]])
            let before = try await ledger.tasks(job, at: .sequence(3), state: nil, limit: 10, after: nil)
            #expect(try reporters(before) == [["token:a"]])
        }
    }

    @Test("silent executions are counted, listed and paged", arguments: LedgerImplementation.allCases)
    func silence(_ implementation: LedgerImplementation) async throws {
        try await implementation.withLedger { ledger in
            let description = JobDescription(name: "j", tags: [JobDescription.leaseTag: "1"])
            let job = try await ledger.createJob(description).view.id
            func start(_ task: Name) -> EventDraft {
                EventDraft(.executionStarted(ExecutionReference(task: task, execution: "1")))
            }
            let drafts =
                ["a", "b", "c"].map { start($0) }
                + [EventDraft(.executionFinished(ExecutionReference(task: "a", execution: "1"), .succeeded))]
            let last = try await ledger.append(drafts, to: job).upperBound
            #expect(try await ledger.waitUntilFolded(job, sequence: last, deadline: .testTimeout))
            let started = try #require(try await ledger.job(job)?.snapshot.updatedAt)
            try await eventually(equals: Int64?(2)) { try await ledger.job(job)?.stalls?.silentCount }
            let first = try #require(
                try await ledger.tasks(job, state: nil, onlySilent: true, limit: 1, after: nil))
            #expect(first.tasks.map(\.name) == ["b"] && first.nextCursor != nil)
            #expect(first.tasks.first?.executions.first?.silentSince == started)
            let rest = try #require(
                try await ledger.tasks(job, state: nil, onlySilent: true, limit: 10, after: first.nextCursor))
            #expect(rest.tasks.map(\.name) == ["c"] && rest.nextCursor == nil)
            let succeeded = try await ledger.tasks(job, state: .succeeded, onlySilent: true, limit: 10, after: nil)
            #expect(succeeded?.tasks.isEmpty == true)
            let all = try #require(try await ledger.tasks(job, state: nil, limit: 10, after: nil))
            #expect(all.tasks.map { $0.executions.last?.silentSince } == [nil, started, started])
            // At the time of the last event, nothing was silent.
            let past = try await ledger.tasks(
                job, at: .sequence(last), state: nil, onlySilent: true, limit: 10, after: nil)
            #expect(past?.tasks.isEmpty == true)
            #expect(try await ledger.job(job, at: .sequence(last), counting: .last)?.stalls?.silentCount == 0)
            let later = PointInTime.time(Timestamp(microseconds: started.microseconds + 1_100_000))
            #expect(try await ledger.job(job, at: later, counting: .last)?.stalls?.silentCount == 2)
            let listed = try await ledger.tasks(job, at: later, state: nil, onlySilent: true, limit: 10, after: nil)
            #expect(listed?.tasks.map(\.name) == ["b", "c"])
            // A repeated start is a sign of life.
            let beat = try await ledger.append([start("b"), start("c")], to: job).upperBound
            #expect(try await ledger.waitUntilFolded(job, sequence: beat, deadline: .testTimeout))
            let alive = try #require(try await ledger.job(job, at: .sequence(beat), counting: .last))
            #expect(alive.stalls?.silentCount == 0)
            #expect(alive.snapshot.tasks.running == 2 && alive.snapshot.tasks.executions == 3)
        }
    }

    @Test("retries, zombies and repeated reports get their verdicts", arguments: LedgerImplementation.allCases)
    func verdicts(_ implementation: LedgerImplementation) async throws {
        try await implementation.withLedger { ledger in
            let job = try await ledger.job(with: Self.retries)
            let verdicts: [Verdict] = [
                .counted, .superseded, .superseded, .superseded, .duplicate, .conflict, .superseded, .counted,
                .conflict,
            ]
            let events = try await ledger.allEvents(job)
            #expect(events.map(\.verdict) == verdicts)
            #expect(events.map(\.late) == [false, false, false, true, false, false, false, false, false])
            #expect(events.map(\.duplicateOf) == [nil, nil, nil, nil, 3, 3, nil, nil, nil])
            #expect(events.map { $0.supersededBy?.id } == [nil, 3, 8, 3, nil, nil, 8, nil, nil])
            #expect(events.map(\.attempt) == [nil, 1, 2, 1, 2, 2, 2, 3, 9])
            #expect(try await ledger.verdicts(job, 1...9) == verdicts)
            #expect(try await ledger.verdicts(job, 8...20) == [.counted, .conflict])
            #expect(try await ledger.verdicts(job, 20...30) == [])
            func done(_ policy: CountingPolicy) async throws -> [Int128]? {
                try await ledger.job(job, counting: policy)?.snapshot.indicators.map(\.counted.done)
            }
            #expect(try await done(.last) == [])
            #expect(try await done(.lastSuccessful) == [1])
            #expect(try await done(.all) == [9])
        }
    }

    @Test("labels beyond the limit of an execution are discarded", arguments: LedgerImplementation.allCases)
    func overLimit(_ implementation: LedgerImplementation) async throws {
        try await implementation.withLedger { ledger in
            let count = Limits.labelsPerExecutionMax
            let job = try await ledger.job(with: (0...count).map { .units("t", label: Name("\($0)"), done: 1) })
            let last = EventSequence(count + 2)
            #expect(try await ledger.verdicts(job, last - 1...last) == [.counted, .overLimit])
            let explanation = try #require(try await ledger.wholeExplanation(job, Name("\(count)")))
            #expect(explanation.indicator.discarded.done == 1 && explanation.indicator.counted.done == 0)
        }
    }

    @Test(
        "an execution with only a discarded report of no units is explained", arguments: LedgerImplementation.allCases)
    func discardsWithoutUnits(_ implementation: LedgerImplementation) async throws {
        try await implementation.withLedger { ledger in
            let job = try await ledger.job(with: [
                .units("t", report: 1, label: "a", done: 1), .units("t", report: 1, label: "b"),
            ])
            for moment in [nil, .sequence(3)] as [PointInTime?] {
                let explanation = try #require(try await ledger.wholeExplanation(job, "b", at: moment))
                #expect(explanation.entries.map(\.execution.id) == [2])
                #expect(explanation.entries.map(\.discarded) == [.zero])
            }
        }
    }

    @Test("an execution's status shows whether it is the last one", arguments: LedgerImplementation.allCases)
    func executionStatus(_ implementation: LedgerImplementation) async throws {
        try await implementation.withLedger { ledger in
            let job = try await ledger.job(with: [.start("t", "a"), .start("t", "b"), .start("t", "c", attempt: 1)])
            func status(_ execution: Name, at sequence: EventSequence, of task: Name = "t") async throws
                -> ExecutionStatus?
            {
                try await ledger.status(of: execution, task: task, in: job, at: sequence)
            }
            let first = try #require(try await status("a", at: 2))
            #expect(first.isLast && first.execution == ExecutionIdentity(execution: "a", attempt: 1, id: 2))
            let superseded = try #require(try await status("a", at: 3))
            #expect(!superseded.isLast)
            #expect(superseded.last == ExecutionIdentity(execution: "b", attempt: 2, id: 3))
            #expect(try await status("c", at: 4)?.last.execution == "b")
            #expect(try await status("b", at: 4)?.isLast == true)
            #expect(try await status("other", at: 4) == nil)
            #expect(try await status("a", at: 4, of: "other") == nil)
            #expect(ledger.newExecutionName() != ledger.newExecutionName())
        }
    }

    @Test("tasks are abandoned with their job until it is reopened", arguments: LedgerImplementation.allCases)
    func reopens(_ implementation: LedgerImplementation) async throws {
        try await implementation.withLedger { ledger in
            let job = try await ledger.job(with: [.start("a", "1"), .start("b", "1"), .finish("b", "1")])
            try await ledger.report([.jobFinished(.completed)], to: job)
            #expect(try await ledger.job(job)?.snapshot.state == .completed)
            #expect(try await ledger.allTasks(job).map(\.state) == [.abandoned, .succeeded])
            #expect(try await ledger.allTasks(job, state: .abandoned).map(\.name) == ["a"])
            #expect(try await ledger.allTasks(job, state: .running).isEmpty)
            try await ledger.report([.start("b", "2")], to: job)
            let snapshot = try #require(try await ledger.job(job)).snapshot
            #expect(snapshot.state == .running && snapshot.finishedAt == nil && snapshot.tasks.running == 2)
            #expect(try await ledger.allTasks(job, state: .running, pagesOf: 1).map(\.name) == ["a", "b"])
            #expect(try await ledger.allTasks(job).map(\.executionCount) == [1, 2])
        }
    }

    @Test("events are read in both orders, in pages, by every filter", arguments: LedgerImplementation.allCases)
    func eventPages(_ implementation: LedgerImplementation) async throws {
        try await implementation.withLedger { ledger in
            let more: [EventBody] = [.units("u", label: "l", done: 1), .units("u", "y", label: "", done: 1)]
            let job = try await ledger.job(with: Self.retries + more)
            let all = try await ledger.allEvents(job)
            #expect(all.map(\.event.sequence) == Array(1...11))
            func found(_ filter: EventFilter, pagesOf limit: Int = 3) async throws -> [EventSequence] {
                let events = try await ledger.allEvents(job, filter, pagesOf: limit)
                #expect(events.allSatisfy { all.contains($0) })
                return events.map(\.event.sequence)
            }
            for limit in [1, 11, 12] {
                #expect(try await found(EventFilter(), pagesOf: limit) == Array(1...11))
                #expect(try await found(EventFilter(order: .descending), pagesOf: limit) == (1...11).reversed())
            }
            #expect(try await found(EventFilter(task: "u")) == [10, 11])
            #expect(try await found(EventFilter(execution: "x")) == [8, 9])
            #expect(try await found(EventFilter(indicator: EventFilter.Indicator(label: "l"))) == [10])
            #expect(try await found(EventFilter(indicator: EventFilter.Indicator(label: nil))) == [2, 3, 4, 5, 6, 11])
            #expect(try await found(EventFilter(type: .jobCreated)) == [1])
            #expect(
                try await found(EventFilter(order: .descending, verdict: .superseded), pagesOf: 2) == [10, 7, 4, 3, 2])
            #expect(try await found(EventFilter(task: "t", type: .executionStarted, verdict: .counted)) == [8])
            #expect(try await found(EventFilter(task: "nothing")) == [])
            let beyond = try #require(try await ledger.events(job, EventFilter(), after: 11, limit: 5))
            #expect(beyond.events.isEmpty && beyond.nextAfter == nil)
            let before = try #require(
                try await ledger.events(job, EventFilter(order: .descending), after: 3, limit: 5))
            #expect(before.events.map(\.event.sequence) == [2, 1] && before.nextAfter == nil)
        }
    }

    /// Compares every result with the pure fold, at some moments, by every policy.
    @Test(
        "a random history reads as the pure fold of its events",
        arguments: LedgerImplementation.allCases, [UInt64(31), 32])
    func agreesWithTheFold(_ implementation: LedgerImplementation, seed: UInt64) async throws {
        try await implementation.withLedger { ledger in
            let count: EventSequence = 300
            let job = try await ledger.job(with: RandomHistory.events(count: 300, seed: seed).dropFirst().map(\.body))
            let events = try await ledger.allEvents(job)
            try #require(events.map(\.event.sequence) == Array(1...count))
            let labels = Set(
                events.compactMap { event -> Name?? in
                    if case .progress(let report) = event.event.body { report.label } else { .none }
                })
            var (fold, recorders) = (Fold(), labels.map { IndicatorHistoryRecorder($0, points: 20) })
            var recorder: SnapshotDiffRecorder?
            for one in events {
                let decision = try fold.apply(one.event)
                #expect(one.verdict?.isDiscarded == decision.verdict.isDiscarded)
                for index in recorders.indices { recorders[index].record(one.event, decision, in: fold) }
                recorder?.record(one.event, decision, in: fold)
                let sequence = one.event.sequence
                if sequence == 100 { recorder = SnapshotDiffRecorder(from: fold, counting: .all, limit: 5) }
                guard [1, 50, 170, count].contains(sequence) else { continue }
                try await compare(ledger, job, at: sequence, labels, fold)
            }
            #expect(try await ledger.job(job)?.snapshot == fold.snapshot())
            #expect(try await ledger.allTasks(job, pagesOf: 2) == fold.taskSummaries(limit: 1_000).tasks)
            for (label, recorder) in zip(labels, recorders) {
                #expect(try await ledger.historyOrNil(job, label, points: 20) == recorder.history(through: fold))
                let explanation = fold.explanation(of: label, counting: .last, limit: 1_000)
                #expect(try await ledger.wholeExplanation(job, label, pagesOf: 2) == explanation)
            }
            let difference = try await ledger.difference(
                job, from: .sequence(100), to: nil, counting: .all, limit: 5)
            #expect(difference == recorder?.difference(to: fold))
        }
    }

    private func compare(
        _ ledger: any LedgerService, _ job: JobID, at sequence: EventSequence, _ labels: Set<Name?>, _ fold: Fold
    ) async throws {
        let moment = PointInTime.sequence(sequence)
        for policy in CountingPolicy.allCases {
            let view = try #require(try await ledger.job(job, at: moment, counting: policy))
            #expect(view.snapshot == fold.snapshot(policy), "\(sequence) \(policy)")
            for label in labels {
                guard let expected = fold.explanation(of: label, counting: policy, limit: 1_000) else { continue }
                let found = try await ledger.wholeExplanation(job, label, at: moment, counting: policy, pagesOf: 3)
                #expect(found == expected, "\(sequence) \(policy)")
            }
        }
        let page = try #require(try await ledger.tasks(job, at: moment, state: nil, limit: 1_000, after: nil))
        #expect(page.tasks == fold.taskSummaries(limit: 1_000).tasks && page.sequence == sequence)
    }

    @Test("a time selects the last event recorded at or before it", arguments: LedgerImplementation.allCases)
    func times(_ implementation: LedgerImplementation) async throws {
        try await implementation.withLedger { ledger in
            let job = try await ledger.job(with: [.units("t", done: 1), .units("t", done: 1)])
            let first = try #require(try await ledger.allEvents(job).last).event.recordedAt
            try await eventually {
                try await ledger.report([.units("t", done: 1)], to: job)
                return try await ledger.allEvents(job).last?.event.recordedAt != first
            }
            let until = EventSequence(try await ledger.allEvents(job).filter { $0.event.recordedAt <= first }.count)
            func sequence(_ time: Timestamp) async throws -> EventSequence? {
                try await ledger.job(job, at: .time(time), counting: .last)?.snapshot.sequence
            }
            #expect(try await sequence(first) == until)
            #expect(try await sequence(.earliest) == 0)
            #expect(try await sequence(.latest) == ledger.job(job)?.ledgerSequence)
            #expect(try await ledger.job(job, at: .sequence(-5), counting: .last)?.snapshot.sequence == 0)
            let change = try await ledger.difference(job, from: .time(first), to: nil, counting: .last, limit: 9)
            #expect(change?.from.sequence == until)
            let nothing = try await ledger.difference(
                job, from: .sequence(3), to: .sequence(2), counting: .last, limit: 9)
            #expect(nothing?.from == nothing?.to && nothing?.events == [:] && nothing?.from.sequence == 3)
        }
    }

    @Test(
        "a label named only later is explained with zeros; an unknown one is not",
        arguments: LedgerImplementation.allCases)
    func labels(_ implementation: LedgerImplementation) async throws {
        try await implementation.withLedger { ledger in
            let job = try await ledger.job(with: [.units("t", label: "a", done: 1), .units("t", label: "b", done: 1)])
            for policy in CountingPolicy.allCases {
                let early = try #require(
                    try await ledger.wholeExplanation(job, "b", at: .sequence(2), counting: policy))
                #expect(early.sequence == 2 && early.indicator.received == .zero && early.entries.isEmpty)
                let unknown = try await ledger.explain(job, "c", at: nil, counting: policy, limit: 1, after: nil)
                guard case .noSuchIndicator = unknown else { throw Unexpected() }
            }
            guard case .noSuchIndicator = try await ledger.history(job, nil, points: 2) else { throw Unexpected() }
            #expect(try await ledger.historyOrNil(job, "a", points: 2)?.points.map(\.counted.done) == [1])
        }
    }

    private struct Unexpected: Error {}
}
