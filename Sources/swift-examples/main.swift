import Glibc

// Example programs that report to the ledger at PROGRESS_LEDGER_URL:
//
//     PROGRESS_LEDGER_URL=http://127.0.0.1:8080 swift run progress-ledger-examples workflow

switch CommandLine.arguments.dropFirst().first {
case "mosaic": try await Mosaic.run()
case "subtasks": try await Subtasks.run()
case "resumed": try await Resumed.run()
case "workflow": try await Workflow.run()
case "worker": try await Worker.run()
case "benchmark": try await Benchmark.run()
default:
    print("usage: progress-ledger-examples mosaic | resumed | subtasks | workflow | worker | benchmark")
    exit(64)
}
