internal import Ledger
internal import PQ

/// Finds the stalls of jobs from stored states, histories and snapshots.
///
/// The histories are read only for jobs in which something may be stalled or silent. They are cached for a second.
struct StallReader: Sendable {
    let summaries: RunSummaryStore

    /// Returns the stalls, in order; nil if a state must first be built.
    func stalls(_ questions: [EstimateReader.Question]) async throws(PQError) -> [JobStalls?] {
        let detectors = try await detectors(questions)
        return zip(questions, detectors).map { question, detector in
            // A job that is not running, or has not begun, has no state, and nothing in it can stall.
            let snapshot = question.view.snapshot
            guard snapshot.state == .running, snapshot.startedAt != nil else { return JobStalls.none }
            return detector.map { $0.stalls(at: question.moment) }
        }
    }

    /// Returns the silent executions of a job.
    func silence(_ question: EstimateReader.Question) async throws(PQError) -> JobSilence {
        try await detectors([question])[0].map { $0.silence(at: question.moment) } ?? .none
    }

    private func detectors(_ questions: [EstimateReader.Question]) async throws(PQError) -> [StallDetector?] {
        var detectors = questions.map { question in
            question.state.map {
                StallDetector($0, question.view.snapshot, of: question.view.description, history: nil)
            }
        }
        let asking = questions.indices.compactMap { index -> (index: Int, request: RunSummaryStore.Request)? in
            let question = questions[index]
            guard let detector = detectors[index], detector.mayFind(at: question.moment),
                let group = summaries.group(of: question.view.description)
            else { return nil }
            let request = RunSummaryStore.Request(
                job: question.view.id, group: group, moment: question.moment, isPresent: question.past == nil)
            return (index, request)
        }
        let found = try await summaries.histories(for: asking.map(\.request))
        for (asked, visible) in zip(asking, found) {
            guard let history = visible?.history, let state = questions[asked.index].state else { continue }
            let view = questions[asked.index].view
            detectors[asked.index] = StallDetector(state, view.snapshot, of: view.description, history: history)
        }
        return detectors
    }
}
