internal import Ledger
internal import PQ

/// The estimates of live jobs.
extension SnapshotReader {
    /// The maximum number of jobs of which the states are read at the same time.
    ///
    /// A state may take a hundred kilobytes.
    static let statesAtOnce = 100

    /// The estimate and the stalls of a job.
    struct Outlook: Sendable {
        var estimate: JobEstimate
        /// Nil if the state must first be built.
        var stalls: JobStalls?
    }

    /// A job and its state of estimates, from one view of the database.
    struct Estimated: Sendable {
        let job: StampedJob
        /// Nil if it must first be built, and if the job is not running.
        let state: EstimateState?
        /// The tasks of the running executions.
        let runningTasks: RunningTasks
    }

    /// The names of the tasks of running executions.
    struct RunningTasks: Sendable {
        var executions: [Int64] = []
        var names: [Name] = []

        /// The task of an execution; nil if it is not among them.
        func name(of execution: ExecutionID) -> Name? {
            executions.firstIndex(of: execution.sequence.number).map { names[$0] }
        }
    }

    /// Returns the estimates and the stalls of jobs, in order.
    ///
    /// They need more than the snapshot: the running executions, of which there may be hundreds. States that were not
    /// read with the snapshots are read now, with usually a little later snapshots.
    ///
    /// - Parameter states: The states that were read with the snapshots.
    func outlooks(of jobs: [JobView], with states: [JobID: Estimated] = [:]) async throws(PQError) -> [Outlook] {
        let now = Timestamp.now
        var results: [Outlook?] = jobs.map { estimates.recent.outlook(of: $0, at: now) }
        let open = jobs.indices.filter { results[$0] == nil }
        for start in stride(from: 0, to: open.count, by: Self.statesAtOnce) {
            let part = open[start..<min(open.count, start + Self.statesAtOnce)]
            let running = part.filter { jobs[$0].snapshot.state == .running && jobs[$0].snapshot.startedAt != nil }
            let unread = running.map { jobs[$0].id }.filter { states[$0] == nil }
            let read = unread.isEmpty ? [:] : try await estimated(unread)
            let known = Set(running)
            let questions = part.map { index in
                let found = known.contains(index) ? states[jobs[index].id] ?? read[jobs[index].id] : nil
                return found.map { Self.question($0, at: now) }
                    ?? EstimateReader.Question(view: jobs[index], state: nil, moment: now)
            }
            let computed = try await estimates.estimates(questions)
            let stalls = try await stalls.stalls(questions)
            for (index, (question, (estimate, stalls))) in zip(part, zip(questions, zip(computed, stalls))) {
                let outlook = Outlook(estimate: estimate, stalls: stalls)
                results[index] = outlook
                estimates.recent.insert(outlook, of: question.view)
            }
        }
        return results.compactMap { $0 }
    }

    /// Returns the silent executions of a job now; nil if it does not exist.
    func silence(of id: JobID) async throws(PQError) -> JobSilence? {
        let now = Timestamp.now
        guard let found = try await estimated([id])[id] else { return nil }
        return try await stalls.silence(Self.question(found, at: now))
    }

    /// Returns the jobs among these that are stalled now.
    func stalled(among jobs: [JobID]) async throws(PQError) -> Set<JobID> {
        var found: Set<JobID> = []
        for start in stride(from: 0, to: jobs.count, by: Self.statesAtOnce) {
            let part = jobs[start..<min(jobs.count, start + Self.statesAtOnce)]
            let now = Timestamp.now
            let questions = try await estimated(Array(part)).values.map { Self.question($0, at: now) }
            for (question, stalls) in zip(questions, try await stalls.stalls(questions)) where stalls?.since != nil {
                found.insert(question.view.id)
            }
        }
        return found
    }

    private static func question(_ found: Estimated, at now: Timestamp) -> EstimateReader.Question {
        let view = found.job.view
        // Events that were recorded after the beginning of this read may be in the state.
        return EstimateReader.Question(
            view: view, state: found.state, moment: max(now, view.snapshot.updatedAt ?? now),
            runningTasks: found.runningTasks)
    }

    /// The statement that reads jobs with their states of estimates.
    ///
    /// Only running jobs have one. Tests check its plan.
    static let estimated = """
        \(columns(further: ", snapshot.estimate, labels.patterns, running.work, running.executions, running.tasks"))
        cross join lateral (
            select string_agg(pattern, ''::bytea order by sequence) as patterns
            from (
                select found.pattern, found.sequence from ledger.indicator as found
                where found.job_id = snapshot.job_id and found.projection = snapshot.projection
                    and found.pattern is not null and snapshot.state = 'running'
                order by found.sequence
                limit \(EstimateState.labelsMax)
            ) as one
        ) as labels
        cross join lateral (
            select
                string_agg(execution.work, ''::bytea order by task.sequence) as work,
                array_agg(task.last order by task.sequence) as executions,
                array_agg(task.name order by task.sequence) as tasks
            from (
                select found.last, found.sequence, found.name from ledger.task as found
                where found.job_id = snapshot.job_id and found.projection = snapshot.projection
                    and found.state = 'running' and snapshot.state = 'running'
                order by found.sequence
                limit \(EstimateState.runningMax)
            ) as task
            cross join lateral (
                select found.work from ledger.execution as found
                where found.job_id = snapshot.job_id and found.projection = snapshot.projection
                    and found.sequence between task.last and task.last
                order by found.sequence
                limit 1
            ) as execution
        ) as running
        where job.job_id = any($1)
        """

    /// Reads jobs with their states of estimates.
    private func estimated(_ ids: [JobID]) async throws(PQError) -> [JobID: Estimated] {
        try await estimated(try await pool.lookUp([Query(Self.estimated, [.uuids(ids.map(\.uuid))])])[0])
    }

    /// Decodes the rows of ``estimated``.
    func estimated(_ rows: Rows) async throws(PQError) -> [JobID: Estimated] {
        try await ComputeThreads.run { () throws(PQError) in
            var found: [JobID: Estimated] = [:]
            for row in rows {
                var columns = row.columns
                let job = recordingMissing(try Self.decode(&columns))
                let state = try Self.state(of: job.view.snapshot, &columns)
                var tasks = RunningTasks()
                if let executions = try columns.nextIfPresent([Int64].self) { tasks.executions = executions }
                if let names = try columns.nextIfPresent([Name].self) { tasks.names = names }
                guard tasks.names.count == tasks.executions.count else {
                    throw PQError(.decoding, "a running execution has no task")
                }
                found[job.view.id] = Estimated(job: job, state: state, runningTasks: tasks)
            }
            return found
        }
    }

    private static func state(of snapshot: Snapshot, _ columns: inout RowColumns) throws(PQError) -> EstimateState? {
        let whole = try columns.nextIfPresent([UInt8].self)
        let patterns = try columns.nextIfPresent([UInt8].self)
        let work = try columns.nextIfPresent([UInt8].self)
        // A job begins with the empty state.
        guard let whole else { return snapshot.sequence <= 1 ? EstimateState() : nil }
        do throws(FoldStateError) {
            var state = try EstimateState(encoded: whole)
            if let patterns { try state.restore(patterns: patterns) }
            if let work { try state.restore(work: work) }
            return state
        } catch {
            // It is of another version, or damaged, and must be built from the events again.
            return nil
        }
    }
}
