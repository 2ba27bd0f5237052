internal import Ledger

/// An append: events of one or more jobs, all or nothing.
struct AppendRequest: Sendable {
    /// The drafts of one job, in order.
    struct Part: Sendable {
        let job: JobID
        var drafts: [EventDraft]
        /// The sequence after which no event may have canceled the job.
        ///
        /// Nil for no condition. The job was not canceled at that sequence. If no later event cancels it, it is not
        /// canceled at the head either, so the append need not wait until the snapshot has reached the head.
        var unlessCanceledAfter: EventSequence?
    }

    /// One part for each job.
    let parts: [Part]
    /// The number of events.
    let eventCount: Int
    /// The approximate memory of the events, in bytes.
    let byteCount: Int

    init(parts: [Part]) {
        self.parts = parts
        eventCount = parts.reduce(0) { $0 + $1.drafts.count }
        byteCount = parts.reduce(0) { sum, part in part.drafts.reduce(sum) { $0 + $1.approximateBytes } }
    }
}

extension AppendRequest {
    /// Collects the events of each job.
    ///
    /// The parts are in the order in which the entries first name the jobs.
    init(entries: [(job: JobID, draft: EventDraft)]) {
        var parts: [Part] = []
        var indices: [JobID: Int] = [:]
        for (job, draft) in entries {
            if let index = indices[job] {
                parts[index].drafts.append(draft)
            } else {
                indices[job] = parts.count
                parts.append(Part(job: job, drafts: [draft]))
            }
        }
        self.init(parts: parts)
    }
}

/// The result of an append: the sequences of its events by job.
typealias AppendResult = Result<[(job: JobID, sequences: ClosedRange<EventSequence>)], StoreError>
