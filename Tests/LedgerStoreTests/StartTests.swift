import Ledger
import LedgerStore
import LedgerTestSupport
import Testing

@Suite("Starts of executions")
struct StartTests {
    @Test("each of many concurrent starts of a task is the last execution at its arrival")
    func concurrent() async throws {
        try await withLedger { ledger in
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            let started = try await withThrowingTaskGroup(of: (name: Name, sequence: EventSequence).self) { group in
                for number in 0..<60 {
                    group.addTask {
                        let name = Name("execution \(number)")
                        let draft = EventDraft(.executionStarted(ExecutionReference(task: "t", execution: name)))
                        return (name, try await ledger.append([draft], to: job).lowerBound)
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            let last = started.map(\.sequence).max() ?? 0
            let isFolded = try await ledger.waitUntilFolded(job, sequence: last, deadline: .testTimeout)
            #expect(isFolded)
            var attempts: Set<Int32> = []
            for (name, sequence) in started {
                let status = try #require(try await ledger.status(of: name, task: "t", in: job, at: sequence))
                #expect(status.isLast && status.execution.id.sequence == sequence, "\(name)")
                attempts.insert(status.execution.attempt)
                let now = try #require(try await ledger.status(of: name, task: "t", in: job, at: last))
                #expect(now.isLast == (sequence == last))
            }
            #expect(attempts == Set(1...60))
        }
    }

    @Test("the start of an older execution gets the last execution at its arrival")
    func zombie() async throws {
        try await withLedger { ledger in
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            func start(_ name: Name, _ attempt: Int32) async throws -> EventSequence {
                let reference = ExecutionReference(task: "t", execution: name, attempt: attempt)
                return try await ledger.append([EventDraft(.executionStarted(reference))], to: job).lowerBound
            }
            let first = try await start("a", 1)
            let second = try await start("b", 2)
            let again = try await start("a", 1)
            let third = try await start("c", 3)
            let isFolded = try await ledger.waitUntilFolded(job, sequence: third, deadline: .testTimeout)
            #expect(isFolded)
            let status = try #require(try await ledger.status(of: "a", task: "t", in: job, at: again))
            #expect(!status.isLast && status.last.execution == "b" && status.last.id.sequence == second)
            #expect(try await ledger.status(of: "a", task: "t", in: job, at: first)?.isLast == true)
        }
    }
}
