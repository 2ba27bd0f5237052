import Ledger
import LedgerStore
import LedgerTestSupport
import Testing

/// The contract of `LedgerService`: the optional fields of events.
@Suite("Contract of a ledger: messages, units and parts")
struct LedgerServiceContractNotesTests {
    private static func reference(_ task: Name, _ attempt: Int32 = 1) -> ExecutionReference {
        ExecutionReference(task: task, attempt: attempt)
    }

    private static func progress(
        _ task: Name, _ attempt: Int32 = 1, report: Int64? = nil, label: Name? = nil, total: Int64? = nil,
        done: Int64? = nil, carried: Int64? = nil, unit: Name? = nil, part: Name? = nil, message: Name? = nil,
        link: Name? = nil
    ) -> EventDraft {
        EventDraft(
            .progress(
                ProgressReport(
                    reference: reference(task, attempt), report: report, label: label, total: total, done: done,
                    carried: carried, unit: unit, part: part)), message: message, link: link)
    }

    /// Appends drafts to a new job, one by one or at once, and waits for the fold.
    private func job(_ ledger: any LedgerService, _ drafts: [EventDraft], oneByOne: Bool = false) async throws -> JobID
    {
        let job = try await ledger.createJob(JobDescription(name: "j")).view.id
        for part in oneByOne ? drafts.map({ [$0] }) : [drafts] {
            let last = try await ledger.append(part, to: job).upperBound
            try #require(try await ledger.waitUntilFolded(job, sequence: last, deadline: .testTimeout))
        }
        return job
    }

    /// Events with every optional field on every type that may have it.
    private static let everything = [
        EventDraft(.executionStarted(reference("a")), link: "https://example.com/log?n=1#L7"),
        progress(
            "a", report: 1, label: "x", total: 10, done: 5, carried: 2, unit: "tiles", part: "0",
            message: "reading é\nline 2", link: "https://example.com/2"),
        progress("a", report: 2, label: "x", total: 1, done: 1),
        EventDraft(.executionFinished(reference("a"), .failed), message: "disk full", link: "http://[::1]:8080/"),
        EventDraft(.jobFinished(.failed), message: "gave up"),
    ]

    @Test(
        "messages, links, units, parts and carried units are stored, hashed, exported and imported",
        arguments: LedgerImplementation.allCases, [false, true])
    func stored(_ implementation: LedgerImplementation, oneByOne: Bool) async throws {
        try await implementation.withLedger { ledger in
            let job = try await job(ledger, Self.everything, oneByOne: oneByOne)
            let events = try await ledger.allEvents(job).map(\.event)
            #expect(events.dropFirst().map { EventDraft($0) } == Self.everything)
            #expect(try await ledger.verify(job, Verification.Range())?.isIntact == true)
            let excerpt = try #require(try await ledger.excerpt(job, after: 0, limit: 10))
            try await implementation.withLedger { other in
                _ = try await other.importExcerpt(excerpt)
                #expect(try await other.excerpt(job, after: 0, limit: 10)?.events == excerpt.events)
                #expect(try await other.verify(job, Verification.Range())?.isIntact == true)
                try #require(try await other.waitUntilFolded(job, sequence: 6, deadline: .testTimeout))
                #expect(try await other.job(job)?.snapshot == ledger.job(job)?.snapshot)
            }
            // Each field is covered by the hash.
            let original = excerpt.events[2].event
            guard case .progress(let report) = original.body else {
                Issue.record("event 3 is not progress: \(original)")
                return
            }
            for change in ["nothing", "message", "link", "unit", "part", "carried"] {
                var forged = excerpt
                forged.events[2].event = Event(
                    sequence: 3, recordedAt: original.recordedAt, message: change == "message" ? nil : original.message,
                    link: change == "link" ? nil : original.link,
                    body: .progress(
                        ProgressReport(
                            reference: report.reference, report: report.report, label: report.label,
                            total: report.total, done: report.done, carried: change == "carried" ? 1 : report.carried,
                            unit: change == "unit" ? nil : report.unit, part: change == "part" ? nil : report.part)))
                try await implementation.withLedger { other in
                    guard change != "nothing" else {
                        // The copies differ from the original only in the changed field.
                        _ = try await other.importExcerpt(forged)
                        return
                    }
                    await #expect(throws: StoreError.self, "\(change)") { _ = try await other.importExcerpt(forged) }
                }
            }
        }
    }

    @Test("a job, its labels and its executions have their newest messages", arguments: LedgerImplementation.allCases)
    func newest(_ implementation: LedgerImplementation) async throws {
        try await implementation.withLedger { ledger in
            let job = try await job(ledger, Self.everything)
            let snapshot = try #require(try await ledger.job(job)?.snapshot)
            #expect(snapshot.message == "gave up")
            let indicator = try #require(snapshot.indicators.first)
            #expect(indicator.message == "reading é\nline 2" && indicator.unit == "tiles" && indicator.carried == 2)
            let execution = try #require(
                try await ledger.tasks(job, state: .failed, limit: 10, after: nil)?.tasks.first?.executions.first)
            #expect(execution.message == "disk full" && execution.link == "http://[::1]:8080/")
            let before = try #require(
                try await ledger.tasks(job, at: .sequence(3), state: nil, limit: 10, after: nil)?.tasks.first?
                    .executions.first)
            #expect(before.message == "reading é\nline 2" && before.link == "https://example.com/2")
            let past = try #require(try await ledger.job(job, at: .sequence(5), counting: .last)?.snapshot)
            #expect(past.message == "disk full" && past.indicators.first?.message == indicator.message)
        }
    }

    @Test(
        "a message that counted on arrival stays after a supersession, and a late one is not shown",
        arguments: LedgerImplementation.allCases, [false, true])
    func superseded(_ implementation: LedgerImplementation, oneByOne: Bool) async throws {
        try await implementation.withLedger { ledger in
            let drafts = [
                Self.progress("a", 1, report: 1, done: 5, unit: "bytes", message: "first"),
                Self.progress("a", 2, done: 1, carried: 1, unit: "tiles"),
                Self.progress("a", 1, done: 1, message: "late"),
                Self.progress("a", 1, report: 1, done: 5, message: "repeated"),
            ]
            let job = try await job(ledger, drafts, oneByOne: oneByOne)
            #expect(
                try await ledger.allEvents(job).map(\.verdict) == [
                    .counted, .superseded, .counted, .superseded, .duplicate,
                ])
            let snapshot = try #require(try await ledger.job(job)?.snapshot)
            #expect(snapshot.message == "first" && snapshot.indicators.first?.message == "first")
            // The first unit stays, although its event no longer counts.
            #expect(snapshot.indicators.first?.unit == "bytes")
            // 6 units were superseded, of which one was carried.
            #expect(snapshot.indicators.first?.wasted.done == 5)
        }
    }

    @Test("units that several executions carried on are wasted only once", arguments: LedgerImplementation.allCases)
    func carried(_ implementation: LedgerImplementation) async throws {
        try await implementation.withLedger { ledger in
            // The first execution does 500 units, the second 300 more, and the third the last 200.
            let drafts = [
                Self.progress("a", 1, total: 1_000, done: 500),
                Self.progress("a", 2, total: 1_000, done: 800, carried: 500),
                Self.progress("a", 3, total: 1_000, done: 1_000, carried: 800),
            ]
            let job = try await job(ledger, drafts)
            let shown = try #require(try await ledger.job(job)?.snapshot.indicators.first)
            #expect(shown.counted.done == 1_000 && shown.attempted.done == 2_300 && shown.carried == 1_300)
            #expect(shown.wasted.done == 0 && shown.wasted.total == 2_000)
            // An execution that carries on the work of another job wastes nothing.
            let resumed = try await self.job(ledger, [Self.progress("a", total: 10, done: 10, carried: 4)])
            #expect(try await ledger.job(resumed)?.snapshot.indicators.first?.wasted.done == 0)
        }
    }

    @Test(
        "each part of an execution numbers its own reports, however many there are",
        arguments: LedgerImplementation.allCases, [false, true])
    func parts(_ implementation: LedgerImplementation, oneByOne: Bool) async throws {
        try await implementation.withLedger { ledger in
            var drafts = ["0", "1", "é"].flatMap { part in
                (1...(oneByOne ? 3 : 200)).map { Self.progress("a", report: $0, done: 1, part: Name(part)) }
            }
            drafts.append(Self.progress("a", report: 1, done: 1))
            let count = Int64(drafts.count)
            let job = try await job(ledger, drafts, oneByOne: oneByOne)
            #expect(try await ledger.job(job)?.snapshot.indicators.first?.counted.done == Int128(count))
            // Repetitions, in other steps than the reports that they repeat.
            let repeated = [
                Self.progress("a", report: 2, done: 1, part: "1"), Self.progress("a", report: 2, done: 2, part: "1"),
                Self.progress("a", report: 2, done: 1, part: "2"), Self.progress("a", report: 1, done: 1),
                Self.progress("a", report: 3, done: 1, carried: 1, unit: "x", part: "é", message: "m"),
            ]
            let last = try await ledger.append(repeated, to: job).upperBound
            try #require(try await ledger.waitUntilFolded(job, sequence: last, deadline: .testTimeout))
            #expect(
                try await ledger.verdicts(job, (last - 4)...last) == [
                    .duplicate, .conflict, .counted, .duplicate, .duplicate,
                ])
        }
    }
}
