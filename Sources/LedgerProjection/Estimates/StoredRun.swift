internal import Ledger
internal import LedgerStore
internal import PQ

/// Summarises a completed job from the stored parts of its projection.
///
/// It reads a limited number of tasks, so its memory does not depend on the size of the job: some 20 MB at most. The
/// summary is the one that the events give. The job's own estimates are not scored, because for that the whole job
/// would have to be folded again.
struct StoredRun {
    let job: JobID
    let projection: Int16
    /// The sequence of the snapshot.
    let sequence: EventSequence

    /// The maximum size of the stored state of an execution that is read, in bytes.
    ///
    /// Executions that have reported on very many labels are left out.
    private static let stateMax: Int32 = 4_096

    /// Reads the job.
    ///
    /// - Returns: The event that ended it, and its summary. Nil if its snapshot has moved on, or if it has no state of
    ///   estimates.
    func summary(
        in transaction: inout Transaction
    ) async throws(PQError) -> (finish: EventSequence, summary: RunSummary)? {
        let results = try await transaction.pipeline([snapshot, finish, indicators, tasks])
        guard let row = results[0].first, let finish = try results[1].first?.decode(0, as: EventSequence.self) else {
            return nil
        }
        return try await ComputeThreads.run { () throws(PQError) in
            try Self.summary(row, results[2], results[3]).map { (finish, $0) }
        }
    }

    private static func summary(_ snapshot: Row, _ indicators: Rows, _ tasks: Rows) throws(PQError) -> RunSummary? {
        var stored: SnapshotRecord?
        var records = RecordReader()
        try records.read(snapshot, 0) { record throws(PQError) in stored = try SnapshotRecord(&record) }
        guard let stored, var state = stored.estimate.flatMap({ EstimateState(stored: $0) }) else { return nil }
        var fold = Fold(stored.progress, tracksChanges: false)
        for row in indicators {
            var columns = row.columns
            guard let indicator = try IndicatorRow.decodeIfPresent(&columns) else { continue }
            fold.restore(indicator)
            let pattern = try columns.next([UInt8].self)
            do throws(FoldStateError) { try state.restore(patterns: pattern) } catch {
                throw PQError(.decoding, "cannot read the pattern of an indicator: \(error)")
            }
        }
        for row in tasks {
            var columns = row.columns
            fold.restore(try TaskRow.decode(&columns))
            fold.restore(try ExecutionRow.decode(&columns))
        }
        return RunSummary(of: fold, state)
    }

    private var parameters: [Parameter] { [.uuid(job.uuid), .int2(projection)] }

    private var snapshot: Query {
        Query(
            """
            select \(SnapshotRecord.record(of: "snapshot")) from ledger.snapshot
            where job_id = $1 and projection = $2 and sequence = $3
            """, parameters + [.sequence(sequence)])
    }

    /// Reads the last `job_finished`, which is the last event or not far before it.
    private var finish: Query {
        Query(
            """
            select sequence from ledger.event
            where job_id = $1 and sequence <= $2 and type = $3
            order by sequence desc
            limit 1
            """, [.uuid(job.uuid), .sequence(sequence), .int2(EventType.jobFinished.rawValue)])
    }

    private var indicators: Query {
        Query(
            """
            select \(IndicatorRow.columns), indicator.pattern from ledger.indicator
            where indicator.job_id = $1 and indicator.projection = $2 and indicator.pattern is not null
            order by indicator.sequence
            limit $3
            """, parameters + [.int8(Int64(EstimateState.labelsMax))])
    }

    /// Reads the first tasks that succeeded, with their last executions.
    private var tasks: Query {
        Query(
            """
            select \(TaskRow.columns), \(ExecutionRow.columns)
            from (
                select * from ledger.task as found
                where found.job_id = $1 and found.projection = $2 and found.state = $3
                order by found.sequence
                limit $4
            ) as task
            cross join lateral (
                select * from ledger.execution as found
                where found.job_id = $1 and found.projection = $2 and found.sequence between task.last and task.last
                    and octet_length(found.state) <= $5
                order by found.sequence
                limit 1
            ) as execution
            order by task.sequence
            """,
            parameters + [
                .text(TaskState.succeeded.rawValue), .int8(Int64(RunSummary.tasksMax)), .int4(Self.stateMax),
            ])
    }
}
