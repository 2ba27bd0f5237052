import Ledger
import LedgerTestSupport
import PQ
import Testing

@testable import LedgerStore

@Suite("Idempotency keys", .timeLimit(.minutes(5)))
struct IdempotencyKeyTests {
    @Test("a key counts for a day, and is deleted afterwards")
    func expiry() async throws {
        try await withLedgerDatabase { target in
            let owner = Pool(target: target, logger: TestCluster.logger)
            try await withRunningLedger(on: target) { ledger in
                func create(_ name: Name) async throws -> JobID {
                    try await ledger.createJob(JobDescription(name: name), by: nil, idempotencyKey: "k").view.id
                }
                func age(_ hours: Int) async throws {
                    _ = try await owner.query(
                        Query("update ledger.idempotency_key set created_at = now() - interval '\(hours) h'"))
                }
                let first = try await create("a")
                try await age(23)
                #expect(try await create("a") == first)
                await #expect(throws: StoreError.self) { try await create("b") }
                try await age(25)
                let second = try await create("b")
                #expect(second != first)
                #expect(try await create("b") == second)
                try await age(25)
                _ = try await ledger.pool.commit([IdempotencyKey.removeExpired])
                let rows = try await owner.query(Query("select count(*) from ledger.idempotency_key"))
                #expect(try rows[0].decode(0, as: Int.self) == 0)
            }
            await owner.close()
        }
    }
}
