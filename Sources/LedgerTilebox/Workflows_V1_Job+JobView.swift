internal import Ledger
internal import SwiftProtobuf

extension Workflows_V1_Job {
    /// A job of the ledger in Tilebox's terms.
    ///
    /// Sums that exceed 2^64 − 1 are sent as 2^64 − 1.
    init(_ view: JobView, now: Timestamp) {
        let snapshot = view.snapshot
        self.init()
        id.uuid = view.id.data
        name = view.description.name.text
        submittedAt = Google_Protobuf_Timestamp(view.createdAt)
        state = Workflows_V1_JobState(snapshot)
        progress = snapshot.indicators.map { indicator in
            var progress = Workflows_V1_Progress()
            progress.label = indicator.label?.text ?? ""
            progress.total = UInt64(clamping: indicator.counted.total)
            progress.done = UInt64(clamping: indicator.counted.done)
            return progress
        }
        if let startedAt = snapshot.startedAt {
            executionStats.firstTaskStartedAt = Google_Protobuf_Timestamp(startedAt)
            let elapsed = max(0, (snapshot.finishedAt ?? now).microseconds - startedAt.microseconds)
            executionStats.elapsedTime.seconds = elapsed / 1_000_000
            executionStats.elapsedTime.nanos = Int32(elapsed % 1_000_000) * 1_000
        }
        if let finishedAt = snapshot.finishedAt {
            executionStats.lastTaskStoppedAt = Google_Protobuf_Timestamp(finishedAt)
        }
        executionStats.totalTasks = UInt64(clamping: snapshot.tasks.total)
        executionStats.tasksByState = snapshot.tasks.byTileboxState.filter { $0.count > 0 }
    }
}

extension Workflows_V1_JobState {
    /// The state of a job.
    ///
    /// Tilebox divides running jobs by their tasks: none has started, one is running, or none is running now.
    init(_ snapshot: Snapshot) {
        self =
            switch snapshot.state {
            case .running where snapshot.tasks.running > 0: .running
            case .running: snapshot.startedAt == nil ? .submitted : .started
            case .completed: .completed
            case .failed: .failed
            case .canceled: .canceled
            }
    }
}

extension TaskCounts {
    /// The numbers of tasks by Tilebox's states.
    ///
    /// A canceled task, and one that the end of the job left without an outcome, counts as skipped.
    var byTileboxState: [Workflows_V1_TaskStateCount] {
        let counts: [(Workflows_V1_TaskState, Int64)] = [
            (.running, running), (.computed, succeeded), (.failed, failed), (.skipped, canceled + abandoned),
        ]
        return counts.map { state, count in
            var result = Workflows_V1_TaskStateCount()
            result.state = state
            result.count = UInt64(clamping: count)
            return result
        }
    }
}

extension Google_Protobuf_Timestamp {
    init(_ moment: Timestamp) {
        let (seconds, rest) = moment.microseconds.quotientAndRemainder(dividingBy: 1_000_000)
        // The nanoseconds count forward from the second, also before 1970.
        self.init(seconds: rest < 0 ? seconds - 1 : seconds, nanos: Int32(rest < 0 ? rest + 1_000_000 : rest) * 1_000)
    }
}
