import Ledger
import LedgerWire
import ProgressLedgerClient

/// Plays the script against a server.
struct DemoPlayer {
    let client: LedgerClient
    /// The pause after each step.
    let pause: Duration
    /// Called after every step, with a snapshot that includes it.
    let onStep: (DemoScript.Step, JobView) -> Void

    /// Creates a job, plays all steps and returns the last snapshot.
    func play() async throws -> JobView {
        var job = try await client.createJob(
            JobDescription(name: "demo", tags: ["purpose": "demonstration"]))
        for step in DemoScript.steps {
            let sequence = try await perform(step.action, in: job.id)
            job = try await client.progress(of: job.id, minSequence: sequence).job
            onStep(step, job)
            try await Task.sleep(for: pause)
        }
        try check(job)
        return job
    }

    /// Performs an action and returns the sequence of its last event.
    private func perform(_ action: DemoScript.Action, in job: JobID) async throws -> EventSequence {
        switch action {
        case .start(let worker):
            return try await client.startExecution(worker.reference, in: job).sequence
        case .declare(let worker, let units):
            let drafts = units.enumerated().map { index, units in
                EventDraft(
                    .progress(
                        ProgressReport(
                            reference: worker.reference, report: Int64(index + 1), label: Name(units.label),
                            total: units.total)))
            }
            return try await client.append(drafts, to: job).sequences.upperBound
        case .done(let worker, let label, let report):
            let progress = ProgressReport(
                reference: worker.reference, report: report, label: Name(label), done: 1)
            return try await client.append([EventDraft(.progress(progress))], to: job).sequences.upperBound
        case .finish(let worker, let succeeded):
            let event = EventBody.executionFinished(worker.reference, succeeded ? .succeeded : .failed)
            return try await client.append([EventDraft(event)], to: job).sequences.upperBound
        case .startLate(let worker):
            return try await startLate(worker, in: job)
        case .finishJob:
            return try await client.append([EventDraft(.jobFinished(.completed))], to: job).sequences.upperBound
        }
    }

    private func startLate(_ worker: DemoScript.Worker, in job: JobID) async throws -> EventSequence {
        do throws(LedgerClientError) {
            _ = try await client.startExecution(worker.reference, in: job)
        } catch {
            guard error.code == .superseded else { throw error }
            // The event is recorded nevertheless, as the job's history shows.
            return try await client.job(job).ledgerSequence
        }
        throw CommandFailure(
            .failed, "The ledger accepted the start of a superseded execution of \(worker.task). This is a defect.")
    }

    private func check(_ job: JobView) throws(CommandFailure) {
        let expected = DemoScript.outcome.map { "\($0.label): \($0.done)/\($0.total)" }
        let found = SnapshotText.lines(job.snapshot.indicators)
        guard found == expected else {
            throw CommandFailure(
                .failed,
                "The ledger counted \(found.joined(separator: ", ")) instead of \(expected.joined(separator: ", ")). "
                    + "This is a defect.")
        }
    }
}

extension DemoScript.Worker {
    fileprivate var reference: ExecutionReference {
        ExecutionReference(task: Name(task), execution: Name(execution), attempt: attempt)
    }
}
