import ProgressLedgerClient

/// An example of a task that resumes from a checkpoint.
///
/// Another process reports to its execution.
enum Resumed {
    static func run() async throws {
        let job = try await Example.openJob("resumed")
        let file = File(name: "tile-17.tif", size: 4_096, checkpoint: 1_024)
        try await job.execution("tile-17", link: "https://ci.example.com/runs/17") { context in
            let download = context.progress("download", unit: "bytes")
            download.setTotal(file.size, message: "reading \(file.name)")
            download.skip(file.checkpoint)
            for try await position in file.positions { download.setDone(position) }
            try await compute(context.handle()?.environment ?? [:])
        }
        try await Example.finish(job)
    }

    /// The work of another process, which was given the variables.
    static func report() async throws {
        let context = try ExecutionContext.attachFromEnvironment()
        context.progress("bands").done(3)
        await context.finish(.succeeded)
    }

    /// A placeholder for a program that ``report()`` is a part of.
    private static func compute(_ variables: [String: String]) async throws {}

    /// A placeholder for a file that is read piece by piece.
    private struct File {
        let name: String
        let size: Int
        /// The position that an earlier execution had reached.
        let checkpoint: Int

        var positions: AsyncStream<Int> {
            AsyncStream { pieces in
                for position in stride(from: checkpoint, through: size, by: 1_024) { pieces.yield(position) }
                pieces.finish()
            }
        }
    }
}
