internal import Ledger
internal import PQ

/// Computes the estimates of jobs from stored states, histories and snapshots.
struct EstimateReader: Sendable {
    let pool: Pool
    let summaries: RunSummaryStore
    let recent = RecentEstimates()

    init(pool: Pool, summaries: RunSummaryStore) {
        self.pool = pool
        self.summaries = summaries
    }

    /// The maximum number of tasks that are compared with those of earlier jobs.
    ///
    /// Summaries have at most half as many. A job with more tasks is estimated by its labels.
    private static let startedTasksMax = 2 * RunSummary.tasksMax
    /// The maximum number of running executions of which the tasks are named.
    private static let namesMax = 3

    /// A job to estimate.
    struct Question: Sendable {
        let view: JobView
        /// The state as of the snapshot; nil if it must first be built.
        let state: EstimateState?
        let moment: Timestamp
        /// The tasks of the running executions that were read with the state.
        var runningTasks = SnapshotReader.RunningTasks()
        /// The names of the tasks that have begun, with the executions of a past snapshot.
        ///
        /// Nil for the live projection, which is asked for them if it is necessary.
        var past: PastTasks?
    }

    /// The tasks of a past snapshot.
    struct PastTasks: Sendable {
        let started: [StartedTask]
        /// The name of the task of an execution.
        let taskName: @Sendable (ExecutionID) -> Name?
    }

    /// Returns the estimates, in order.
    func estimates(_ questions: [Question]) async throws(PQError) -> [JobEstimate] {
        var results = questions.map { JobEstimate(.none(Self.reason($0)), at: $0.moment) }
        let open = questions.indices.filter { index in
            // Before the first execution, there is nothing to estimate.
            questions[index].view.snapshot.startedAt != nil && questions[index].view.snapshot.state == .running
                && questions[index].state != nil
        }
        guard !open.isEmpty else { return results }
        let visible = try await histories(of: open.map { questions[$0] })
        let started = try await startedTasks(of: open.map { questions[$0] }, visible)
        let estimates = await ComputeThreads.run {
            zip(open, zip(visible, started)).map { index, known in
                Self.estimate(questions[index], known.0?.history, known.1)
            }
        }
        for (index, (estimate, known)) in zip(open, zip(estimates, visible)) {
            results[index] = JobEstimate(
                estimate, at: questions[index].moment, trackRecord: known?.record,
                paces: questions[index].state?.paces(of: questions[index].view.snapshot, at: questions[index].moment)
                    ?? [:])
        }
        let known = Set(questions.indices).subtracting(open)
        try await nameTasks(in: &results, questions, except: known)
        return results
    }

    /// The reason for no prediction before the state is considered.
    private static func reason(_ question: Question) -> Estimate.Reason {
        guard question.view.snapshot.state == .running else { return .finished }
        // The state is read only for jobs with an execution.
        guard question.state == nil, question.view.snapshot.startedAt != nil else { return .noProgress }
        let isLarge = question.view.snapshot.tasks.executions > EstimateState.rebuiltExecutionsMax
        return isLarge ? .tooLarge : .pastUnknown
    }

    private static func estimate(
        _ question: Question, _ history: EstimateHistory?, _ started: [StartedTask]
    ) -> Estimate {
        guard let state = question.state else { return .none(.pastUnknown) }
        return Estimator(state, question.view.snapshot, history: history, startedTasks: started)
            .estimate(at: question.moment)
    }

    private func histories(of questions: [Question]) async throws(PQError) -> [RunSummaryStore.Visible?] {
        var visible: [RunSummaryStore.Visible?] = questions.map { _ in nil }
        let requests = questions.enumerated().compactMap { index, question in
            summaries.group(of: question.view.description).map {
                (
                    index: index,
                    RunSummaryStore.Request(
                        job: question.view.id, group: $0, moment: question.moment, isPresent: question.past == nil)
                )
            }
        }
        let found = try await summaries.histories(for: requests.map(\.1))
        for (request, history) in zip(requests, found) { visible[request.index] = history }
        return visible
    }

    /// Reads the tasks that have begun, of the jobs with a history of tasks.
    private func startedTasks(
        of questions: [Question], _ visible: [RunSummaryStore.Visible?]
    ) async throws(PQError) -> [[StartedTask]] {
        var started = questions.map { $0.past?.started ?? [] }
        let asking = questions.indices.filter { index in
            questions[index].past == nil && visible[index]?.history.knowsTasks == true
                && questions[index].view.snapshot.tasks.total <= Int64(Self.startedTasksMax)
        }
        guard !asking.isEmpty else { return started }
        let rows = try await pool.lookUp([
            Query(
                """
                select requested.number, task.name, task.state
                from unnest($1::uuid[], $2::smallint[]) with ordinality as requested (job_id, projection, number)
                cross join lateral (
                    select found.name, found.state from ledger.task as found
                    where found.job_id = requested.job_id and found.projection = requested.projection
                    order by found.sequence
                    limit $3
                ) as task
                """,
                [
                    .uuids(asking.map { questions[$0].view.id.uuid }),
                    .int2s(asking.map { questions[$0].view.version?.projection ?? 0 }),
                    .int8(Int64(Self.startedTasksMax)),
                ])
        ])[0]
        for row in rows {
            let number = Int(try row.decode(0, as: Int64.self)) - 1
            guard asking.indices.contains(number) else { throw PQError(.decoding, "a task was not requested") }
            started[asking[number]].append(
                StartedTask(
                    try row.decode(1, as: Name.self),
                    hasSucceeded: try row.decode(2, as: String.self) == TaskState.succeeded.rawValue))
        }
        return started
    }

    /// Names the tasks of the executions that the jobs wait for.
    private func nameTasks(
        in results: inout [JobEstimate], _ questions: [Question], except known: Set<Int>
    ) async throws(PQError) {
        var asked: [(index: Int, execution: ExecutionID)] = []
        for index in results.indices where !known.contains(index) {
            let executions = (results[index].estimate.waitingFor?.executions ?? []).prefix(Self.namesMax)
            if let past = questions[index].past {
                results[index].waitingTasks = executions.compactMap { past.taskName($0) }
            } else {
                let names = executions.map { questions[index].runningTasks.name(of: $0) }
                if !names.contains(nil) {
                    results[index].waitingTasks = names.compactMap { $0 }
                } else {
                    asked += executions.map { (index, $0) }
                }
            }
        }
        guard !asked.isEmpty else { return }
        let rows = try await pool.lookUp([
            Query(
                """
                select requested.number, task.name
                from unnest($1::uuid[], $2::smallint[], $3::bigint[])
                    with ordinality as requested (job_id, projection, sequence, number)
                cross join lateral (
                    select found.task from ledger.execution as found
                    where found.job_id = requested.job_id and found.projection = requested.projection
                        and found.sequence between requested.sequence and requested.sequence
                    order by found.sequence
                    limit 1
                ) as execution
                cross join lateral (
                    select found.name from ledger.task as found
                    where found.job_id = requested.job_id and found.projection = requested.projection
                        and found.sequence between execution.task and execution.task
                    order by found.sequence
                    limit 1
                ) as task
                """,
                [
                    .uuids(asked.map { questions[$0.index].view.id.uuid }),
                    .int2s(asked.map { questions[$0.index].view.version?.projection ?? 0 }),
                    .ids(asked.map(\.execution)),
                ])
        ])[0]
        for row in rows {
            let number = Int(try row.decode(0, as: Int64.self)) - 1
            guard asked.indices.contains(number) else { throw PQError(.decoding, "an execution was not requested") }
            results[asked[number].index].waitingTasks.append(try row.decode(1, as: Name.self))
        }
    }
}
