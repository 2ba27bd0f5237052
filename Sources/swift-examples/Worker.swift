import Glibc
import ProgressLedgerClient

/// A worker that reports a unit every few milliseconds until a signal ends it.
///
/// It reports to the job of `PROGRESS_LEDGER_JOB`. On a signal it ends as canceled, after everything is recorded. It
/// prints the number of accepted units to standard output.
enum Worker {
    static func run() async throws {
        LedgerJob.flushOnTermination()
        let job = try LedgerJob.fromEnvironment()
        try await job.execution("worker", attempt: ExecutionAttempt.fromEnvironment()) { context in
            let units = context.progress("units")
            var count = 0
            while !context.isSuperseded {
                // After a signal, reports are refused.
                if units.done() {
                    count += 1
                    UnbufferedOutput.write("\(count)\n")
                }
                try await Task.sleep(for: .milliseconds(2))
            }
        }
    }
}

/// Standard output without a buffer, which loses nothing if the process is killed.
private enum UnbufferedOutput {
    static func write(_ text: String) {
        var text = text
        _ = text.withUTF8 { Glibc.write(STDOUT_FILENO, $0.baseAddress, $0.count) }
    }
}
