internal import Ledger
internal import LedgerChain
internal import PQ

/// The events of a group with their sequences, times and hashes, and the new heads.
///
/// It is a pure function of the heads, the time and the appends.
struct GroupCommitPlan {
    private(set) var columns = EventColumns()
    private(set) var results: [AppendResult] = []
    /// The heads before the group.
    private let before: [JobID: JobHead]
    /// The heads after the appends that are planned so far.
    private var heads: [JobID: JobHead]
    private var changed: Set<JobID> = []
    /// The database's clock when the group was planned, or a lower bound of it.
    private let plannedAt: Timestamp
    private var workspace = HashChain.Workspace()

    /// - Parameters:
    ///   - heads: The heads of the jobs that exist.
    ///   - plannedAt: The database's clock, or a lower bound of it.
    init(_ requests: [AppendRequest], heads: [JobID: JobHead], plannedAt: Timestamp) {
        before = heads
        self.heads = heads
        self.plannedAt = plannedAt
        for request in requests { results.append(plan(request)) }
    }

    private mutating func plan(_ request: AppendRequest) -> AppendResult {
        let unknown = request.parts.map(\.job).filter { heads[$0] == nil }
        guard unknown.isEmpty else { return .failure(.unknown(unknown)) }
        let retired = request.parts.map(\.job).filter { heads[$0]?.isRetired ?? false }
        guard retired.isEmpty else { return .failure(.retired(retired)) }
        for part in request.parts {
            guard let after = part.unlessCanceledAfter else { continue }
            // The caller knows all cancellations after each condition: it has just read them, or it uses a cached head
            // only if that knows them.
            guard let isCanceled = heads[part.job]?.isCanceled(after: after) else {
                return .failure(StoreError(.corrupt, "the cancellations of job \(part.job) were not read"))
            }
            if isCanceled { return .failure(.canceled(part.job)) }
        }
        var sequences: [(job: JobID, sequences: ClosedRange<EventSequence>)] = []
        for part in request.parts {
            if let planned = plan(part) { sequences.append((part.job, planned)) }
        }
        return .success(sequences)
    }

    /// Plans the events of one job.
    ///
    /// - Returns: Their sequences; nil if there are none.
    private mutating func plan(_ part: AppendRequest.Part) -> ClosedRange<EventSequence>? {
        guard var head = heads[part.job], !part.drafts.isEmpty else { return nil }
        let first = head.sequence + 1
        // Times never decrease within a job, even if the clock does.
        head.recordedAt = max(head.recordedAt, plannedAt)
        for index in part.drafts.indices {
            head.sequence += 1
            let event = part.drafts[index].recorded(sequence: head.sequence, at: head.recordedAt)
            if case .jobFinished(.canceled) = event.body { head.lastCancel = event.sequence }
            head.chain.append(event, in: &workspace)
            columns.append(event, of: part.job, hash: head.chain.lastHash)
        }
        // Later appends of the group continue from this head, and see a cancellation in it.
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
        return [columns.insert, Query(ConditionalAppendStatements.moveHeads, headParameters)]
    }

    /// The conditional query for few events.
    ///
    /// It writes nothing unless the heads are still those of the plan and its time is current. It returns the
    /// database's clock and the number of inserted events, or no row.
    var conditionalQuery: Query {
        let changedHeads = newHeads
        guard changedHeads.count == 1, let (job, head) = changedHeads.first else {
            return Query(
                ConditionalAppendStatements.insertOfManyJobs.text(for: columns),
                conditionalParameters + columns.parameters)
        }
        // $1 to $7; the columns follow from $8.
        let heads: [Parameter] = [
            .uuid(job.uuid), .sequence(head.sequence),
            .timestamp(head.recordedAt), .bytea(head.chain.lastHash.bytea),
            .sequence(before[job]?.sequence), .timestamp(plannedAt),
            .bytea(before[job]?.chain.lastHash.bytea),
        ]
        return columns.count == 1
            ? Query(ConditionalAppendStatements.insertOneEvent.text(for: columns), heads + columns.singleRow)
            : Query(ConditionalAppendStatements.insertOfOneJob.text(for: columns), heads + columns.parameters)
    }

    /// The conditional queries for many events, for one transaction.
    ///
    /// The first moves the heads and returns the clock. The second inserts all events or none, and PostgreSQL reports
    /// how many. A single statement would have to count its rows by itself, which takes a tenth of the time of
    /// inserting.
    var conditionalTransaction: [Query] {
        [
            Query(ConditionalAppendStatements.moveHeadsIfUnchanged, conditionalParameters),
            Query(ConditionalAppendStatements.insertIfMoved.text(for: columns), columns.parameters),
        ]
    }

    /// The parameters $1 to $7 for several jobs, in the same order as for one.
    private var conditionalParameters: [Parameter] {
        headParameters + [
            .sequences(newHeads.map { before[$0.job]?.sequence }),
            .timestamp(plannedAt),
            .byteas(newHeads.map { before[$0.job]?.chain.lastHash.bytea }),
        ]
    }

    /// The last database time at which the conditional queries may write.
    var expiry: Timestamp {
        Timestamp(microseconds: plannedAt.microseconds + ConditionalAppendStatements.planValidityMicroseconds)
    }

    /// The jobs with a head that has changed.
    ///
    /// The plan with locked heads began from another head than the cached one.
    func jobsMoved(since cached: [JobID: JobHead]) -> [JobID] {
        cached.filter { job, head in before[job]?.chain.lastHash != head.chain.lastHash }.map(\.key)
    }

    /// The jobs that may have lost events: their heads are behind the cached ones.
    ///
    /// A head with the same sequence and another hash counts as well. A job without a head counts as well.
    func jobsLost(since cached: [JobID: JobHead]) -> [JobID] {
        cached.filter { job, head in
            guard let found = before[job] else { return true }
            return found.sequence <= head.sequence && found.chain.lastHash != head.chain.lastHash
        }.map(\.key)
    }

    private var headParameters: [Parameter] {
        let heads = newHeads
        return [
            .uuids(heads.map { $0.job.uuid }), .sequences(heads.map { $0.head.sequence }),
            .timestamps(heads.map { $0.head.recordedAt }),
            .byteas(heads.map { $0.head.chain.lastHash.bytea }),
        ]
    }
}
