public import Ledger
internal import LedgerChain
public import LedgerStore

/// Jobs that were created in an earlier month.
public enum PastJob {
    /// 2024-03-10T00:00:00Z.
    public static let march = Timestamp(microseconds: 1_710_028_800_000_000)

    /// The first event of a job, and further ones, recorded at intervals.
    public static func excerpt(
        number: UInt64 = 1, createdAt: Timestamp = march, every seconds: Int64 = 1, key: Name? = nil,
        _ drafts: [EventDraft]
    ) -> LedgerExcerpt {
        let job = JobID(createdAt: createdAt, randomHigh: 0, randomLow: number)
        let first = EventDraft(.jobCreated(JobDescription(name: "past", key: key, tags: ["team": "a"])))
        var chain = HashChain(job: job)
        var events: [RecordedEvent] = []
        for (index, draft) in ([first] + drafts).enumerated() {
            let event = draft.recorded(
                sequence: .start + index + 1,
                at: Timestamp(microseconds: createdAt.microseconds + Int64(index) * seconds * 1_000_000))
            events.append(RecordedEvent(event: event, hash: chain.append(event)))
        }
        let head = ChainPosition(sequence: .start + events.count, hash: chain.lastHash)
        return LedgerExcerpt(job: job, head: head, events: events)
    }

    /// The events of a job that reports once and ends.
    public static let finished = [
        EventDraft(
            .progress(
                ProgressReport(
                    reference: ExecutionReference(task: "t", execution: "e"), report: 1, label: "l", total: 2, done: 1))
        ),
        EventDraft(.executionFinished(ExecutionReference(task: "t", execution: "e"), .succeeded)),
        EventDraft(.jobFinished(.completed)),
    ]

    /// Imports a job, and waits until its events are folded.
    public static func add(
        number: UInt64 = 1, createdAt: Timestamp = march, every seconds: Int64 = 1, key: Name? = nil,
        _ drafts: [EventDraft] = finished, to ledger: PostgresLedger
    ) async throws -> JobID {
        let excerpt = excerpt(number: number, createdAt: createdAt, every: seconds, key: key, drafts)
        _ = try await ledger.importExcerpt(excerpt)
        try await eventually {
            try await ledger.waitUntilFolded(excerpt.job, sequence: excerpt.head.sequence, deadline: .testTimeout)
        }
        return excerpt.job
    }
}
