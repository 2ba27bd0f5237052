import Glibc
import ProgressLedgerClient

/// A worker of the job that `PROGRESS_LEDGER_JOB` names: reports a unit every few milliseconds until it is told to end
/// by a signal, and then ends as canceled, with everything recorded. Says on standard output how many were taken.
enum Worker {
    static func run() async throws {
        LedgerJob.flushOnTermination()
        let job = try LedgerJob.fromEnvironment()
        try await job.execution("worker", attempt: ExecutionAttempt.fromEnvironment()) { context in
            let units = context.progress("units")
            var count = 0
            while !context.isSuperseded {
                // Once the process was told to end, nothing more is taken.
                if units.done() {
                    count += 1
                    UnbufferedOutput.write("\(count)\n")
                }
                try await Task.sleep(for: .milliseconds(2))
            }
        }
    }
}

/// Standard output without a buffer: what was said is said, also where the process is killed.
private enum UnbufferedOutput {
    static func write(_ text: String) {
        var text = text
        _ = text.withUTF8 { Glibc.write(STDOUT_FILENO, $0.baseAddress, $0.count) }
    }
}
