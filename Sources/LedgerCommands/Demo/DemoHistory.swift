import Ledger
import LedgerWire
import ProgressLedgerClient

/// Statistics of the demonstration's events.
struct DemoHistory: Sendable {
    private(set) var events: Int64 = 0
    private(set) var byVerdict: [Verdict: Int64] = [:]
    /// Superseded units by label, in the order in which the labels first appear.
    private(set) var superseded: [(label: String, done: Int64)] = []

    mutating func add(_ event: ExplainedEvent) {
        events += 1
        guard let verdict = event.verdict else { return }
        byVerdict[verdict, default: 0] += 1
        guard verdict == .superseded, case .progress(let progress) = event.event.body, let done = progress.done,
            done > 0
        else { return }
        let label = progress.label?.text ?? SnapshotText.unlabeled
        if let index = superseded.firstIndex(where: { $0.label == label }) {
            superseded[index].done += done
        } else {
            superseded.append((label, done))
        }
    }

    /// The summary at the end of the demonstration.
    func lines(_ job: JobView) -> [String] {
        let counts = Verdict.allCases.compactMap { verdict in byVerdict[verdict].map { "\($0) \(verdict.rawValue)" } }
        let lost = superseded.map { "\($0.label) \($0.done)" }.joined(separator: ", ")
        return [
            "Behind these numbers: \(events) events, \(counts.joined(separator: ", ")).",
            "\(job.snapshot.tasks.total) tasks took \(job.snapshot.tasks.executions) executions; \(job.snapshot.tasks.supersededExecutions) of them "
                + "were superseded. Superseded units, which do not count: \(lost).",
        ]
    }
}
