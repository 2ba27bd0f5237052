import ProgressLedgerClient

/// An example with a root task that declares n units, and n subtasks that do them.
enum Subtasks {
    static func run(n: Int = 4) async throws {
        let job = try await Example.openJob("subtasks")
        await job.execution("root") { context in
            context.progress("units").add(n)
        }
        await withTaskGroup(of: Void.self) { group in
            for number in 1...n {
                group.addTask {
                    await job.execution(Name("subtask-\(number)")) { context in
                        context.progress("units").done()
                        return
                    }
                }
            }
        }
        try await Example.finish(job)
    }
}
