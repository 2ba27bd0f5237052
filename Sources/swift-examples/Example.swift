import FoundationEssentials
import ProgressLedgerClient

/// Functions that the examples share.
enum Example {
    struct Failure: Error {
        let reason: String
    }

    static func openJob(_ name: Name) async throws -> LedgerJob {
        let url = ProcessInfo.processInfo.environment["PROGRESS_LEDGER_URL"] ?? "http://127.0.0.1:8080"
        return try await LedgerClient(url: url).openJob(JobDescription(name: name))
    }

    /// Ends the job and prints its indicators.
    static func finish(_ job: LedgerJob) async throws {
        try await job.finish(.completed)
        guard let last = try await job.waitUntilFinished() else { return }
        for indicator in last.snapshot.indicators {
            print("\(indicator.label.map(\.text) ?? "all"): \(indicator.counted.done)/\(indicator.counted.total)")
        }
    }
}
