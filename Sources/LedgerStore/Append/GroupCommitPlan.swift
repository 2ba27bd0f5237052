internal import Ledger
internal import LedgerChain
internal import PQ

/// The events of a group with their sequences, times and hashes, and the new heads.
///
/// It is a pure function of the present heads and the appends.
struct GroupCommitPlan {
    private(set) var columns = EventColumns()
    private(set) var results: [AppendResult] = []
    /// The heads before the group.
    private let before: [JobID: JobHead]
    private var heads: [JobID: JobHead]
    private var changed: Set<JobID> = []
    private let clock: Timestamp
    private var workspace = HashChain.Workspace()

    /// - Parameters:
    ///   - heads: The heads of the jobs that exist.
    ///   - clock: The database's clock, read after the heads.
    init(_ requests: [AppendRequest], heads: [JobID: JobHead], clock: Timestamp) {
        before = heads
        self.heads = heads
        self.clock = clock
        for request in requests { results.append(add(request)) }
    }

    private mutating func add(_ request: AppendRequest) -> AppendResult {
        let unknown = request.parts.map(\.job).filter { heads[$0] == nil }
        guard unknown.isEmpty else { return .failure(.unknown(unknown)) }
        let retired = request.parts.map(\.job).filter { heads[$0]?.isRetired ?? false }
        guard retired.isEmpty else { return .failure(.retired(retired)) }
        for part in request.parts {
            guard let after = part.unlessCanceledAfter else { continue }
            guard let isCanceled = heads[part.job]?.isCanceled(after: after) else {
                return .failure(StoreError(.corrupt, "the cancellations of job \(part.job) were not read"))
            }
            if isCanceled { return .failure(.canceled(part.job)) }
        }
        return .success(request.parts.compactMap { part in add(part).map { (part.job, $0) } })
    }

    private mutating func add(_ part: AppendRequest.Part) -> ClosedRange<EventSequence>? {
        guard var head = heads[part.job], !part.drafts.isEmpty else { return nil }
        let first = head.sequence + 1
        // Times never decrease within a job, even if the clock does.
        head.recordedAt = max(head.recordedAt, clock)
        for draft in part.drafts {
            head.sequence += 1
            let event = draft.recorded(sequence: head.sequence, at: head.recordedAt)
            if case .jobFinished(.canceled) = event.body { head.lastCancel = event.sequence }
            head.chain.append(event, in: &workspace)
            columns.append(event, of: part.job, hash: head.chain.head)
        }
        heads[part.job] = head
        changed.insert(part.job)
        return first...head.sequence
    }

    /// The changed jobs with their new heads, in the order of their ids.
    var newHeads: [(job: JobID, head: JobHead)] {
        changed.sorted().compactMap { job in heads[job].map { (job, $0) } }
    }

    /// The statements for locked heads; none if no append succeeds.
    var statementsForLockedHeads: [Query] {
        guard columns.count > 0 else { return [] }
        return [columns.insert, Query(AppendStatements.moveHeads, headParameters)]
    }

    /// The conditional statement for few events.
    ///
    /// It writes nothing unless the heads are still those of the plan and its time is current. It returns the
    /// database's clock and the number of inserted events, or no row.
    var conditionalStatement: Query {
        let moved = newHeads
        guard moved.count == 1, let (job, head) = moved.first else {
            return Query(
                AppendStatements.insertOfManyJobs.text(for: columns), conditionalParameters + columns.parameters)
        }
        let heads: [Parameter] = [
            .uuid(job.uuid), .sequence(head.sequence),
            .timestamp(head.recordedAt), .bytea(head.chain.head.bytea),
            .sequence(before[job]?.sequence), .timestamp(clock),
            .bytea(before[job]?.chain.head.bytea),
        ]
        return columns.count == 1
            ? Query(AppendStatements.insertOneEvent.text(for: columns), heads + columns.singleRow)
            : Query(AppendStatements.insertOfOneJob.text(for: columns), heads + columns.parameters)
    }

    /// The conditional statements for many events, for one transaction.
    ///
    /// The first returns the clock; the number of rows that the second inserts is the number of events. A single
    /// statement would have to return every event to count them, which takes a tenth of the time of inserting.
    var conditionalStatements: [Query] {
        [
            Query(AppendStatements.moveHeadsIfUnchanged, conditionalParameters),
            Query(AppendStatements.insertIfMoved.text(for: columns), columns.parameters),
        ]
    }

    private var conditionalParameters: [Parameter] {
        headParameters + [
            .sequences(newHeads.map { before[$0.job]?.sequence }),
            .timestamp(clock),
            .byteas(newHeads.map { before[$0.job]?.chain.head.bytea }),
        ]
    }

    /// The database time from which the conditional statements refuse to write.
    var expiry: Timestamp { Timestamp(microseconds: clock.microseconds + 1_000_000) }

    /// The jobs with heads that differ from these.
    func moved(since heads: [JobID: JobHead]) -> [JobID] {
        heads.filter { job, head in before[job]?.chain.head != head.chain.head }.map(\.key)
    }

    /// The jobs that may have lost events: their heads are behind these.
    ///
    /// A head with the same sequence and another hash counts as well.
    func lost(since heads: [JobID: JobHead]) -> [JobID] {
        heads.filter { job, head in
            before[job].map { $0.sequence <= head.sequence && $0.chain.head != head.chain.head } ?? true
        }.map(\.key)
    }

    private var headParameters: [Parameter] {
        let heads = newHeads
        return [
            .uuids(heads.map { $0.job.uuid }), .sequences(heads.map { $0.head.sequence }),
            .timestamps(heads.map { $0.head.recordedAt }),
            .byteas(heads.map { $0.head.chain.head.bytea }),
        ]
    }
}
