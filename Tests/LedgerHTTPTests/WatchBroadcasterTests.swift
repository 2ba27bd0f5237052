import Ledger
import LedgerStore
import LedgerTestSupport
import Synchronization
import Testing

@testable import LedgerHTTP

@Suite("The broadcaster of snapshots")
struct WatchBroadcasterTests {
    @Test("a subscriber that has sent its first snapshot does not keep it in memory")
    func releases() async throws {
        let ledger = InMemoryLedger()
        let job = try await ledger.createJob(JobDescription(name: "n")).view.id
        let broadcaster = WatchBroadcaster(
            service: ledger, settings: ServerSettings(), metrics: HTTPMetrics(), logger: TestCluster.logger)
        let running = Task { await broadcaster.run() }
        defer { running.cancel() }
        let request = WatchRequest(subject: .job(job), position: nil)
        func subscribe() async throws -> WatchSubscription {
            let subscription = await withCheckedContinuation { continuation in
                _ = broadcaster.subscribe(request) { continuation.resume(returning: $0) }
            }
            return try #require(subscription)
        }
        // The first snapshot is read; that of later subscribers is a copy with the present time.
        let first = try await subscribe()
        let second = try await subscribe()
        func sent(_ subscription: WatchSubscription) throws -> Weak {
            guard case .contents(let contents) = subscription.buffer.take(orCall: {}) else {
                throw Unexpected()
            }
            return Weak(snapshot: contents.first)
        }
        let copy = try sent(second)
        #expect(copy.snapshot == nil)
        withExtendedLifetime((first, second)) {}
    }

    private struct Weak {
        weak var snapshot: EncodedSnapshot?
    }

    private struct Unexpected: Error {}
}
