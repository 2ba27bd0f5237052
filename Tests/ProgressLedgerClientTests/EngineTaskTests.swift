import FoundationEssentials
import Ledger
import Testing

@testable import ProgressLedgerClient

/// Tests of engines' variables by the table that the clients share.
@Suite("Variables of workflow engines")
struct EngineTaskTests {
    private struct Table: Decodable {
        let cases: [Case]
        let steps: [Case]
    }

    struct Case: Decodable, Sendable, CustomTestStringConvertible {
        let name: String
        let environment: [String: String]
        let engine: String?
        let task: String?
        let attempt: Int32?
        let orders_code: Bool?

        var testDescription: String { name }

        static func all() throws -> [Case] {
            let tests = #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
            let path = "/\(tests)/engine-variables/cases.json"
            guard let content = FileManager.default.contents(atPath: path) else { throw CocoaError(.fileNoSuchFile) }
            let table = try JSONDecoder().decode(Table.self, from: content)
            return table.cases + table.steps
        }
    }

    @Test("the variables give the engine, the task and the attempts", arguments: try Case.all())
    func variables(one: Case) {
        let found = EngineTask.from(one.environment)
        #expect(found?.engine == one.engine)
        #expect(found?.task?.text == one.task)
        #expect(found?.attempt == one.attempt)
        #expect(found?.attemptOfNamed == (one.orders_code ?? true ? one.attempt : nil))
    }

    @Test("the largest attempt is accepted, and a larger one is none")
    func largest() {
        func attempt(_ text: String) -> Int32? { EngineTask.from(["PROGRESS_LEDGER_ATTEMPT": text])?.attempt }
        #expect(attempt("2147483647") == .max && attempt("2147483648") == nil && attempt("-1") == nil)
        let restarts = ["SLURM_JOB_ID": "x", "SLURM_RESTART_COUNT": "2147483647"]
        #expect(EngineTask.from(restarts)?.attemptOfNamed == nil)
    }
}
