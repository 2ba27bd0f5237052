import LedgerStore
import LedgerWire
import Testing

@testable import LedgerHTTP

@Suite("Problems")
struct ProblemTests {
    @Test(
        "the problem of a database that is away names the shard, if there are several",
        arguments: [StoreError.Code.unavailable, .closed, .outcomeUnknown])
    func awayShard(code: StoreError.Code) throws {
        for isRead in [true, false] {
            let error = StoreError(code, "shard 3: reading a job", shard: 3)
            let problem = try #require(HTTPProblem(error, isRead: isRead))
            #expect(problem.details.status == 503)
            #expect(problem.details.detail.contains("database of shard 3"), "\(problem.details.detail)")
            let single = try #require(HTTPProblem(StoreError(code, "reading a job"), isRead: isRead))
            #expect(!single.details.detail.contains("shard"))
        }
    }
}
