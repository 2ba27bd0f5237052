import Ledger
import LedgerTestSupport
import Testing

@testable import LedgerStore

@Suite("States of jobs known to a process")
struct JobStatesTests {
    @Test("an entry that no hint has reached is read again after 30 s, and not before")
    func ages() async throws {
        try await withLedger { ledger in
            let clock = StoppedClock()
            let states = JobStates(ledger.pool, now: { clock.now })
            let job = try await ledger.job(with: [.start("t", "e")])
            #expect(states.known(job) == nil)
            try await eventually(equals: .running) { states.known(job) }
            try await ledger.report([.jobFinished(.completed)], to: job)
            try await eventually(equals: .completed) { try await states.read(job)?.state }
            clock.move(by: JobStates.ageMax)
            #expect(states.known(job) == .running)
            // No read is in progress: it would have marked the entry.
            clock.move(by: .nanoseconds(1))
            #expect(states.known(job) == .running)
            try await eventually(equals: .completed) { states.known(job) }
        }
    }

    @Test("another process counts as present for 35 s after its last announcement")
    func peers() async throws {
        try await withLedger(projection: nil) { ledger in
            let clock = StoppedClock()
            let publisher = HintPublisher(
                pool: ledger.pool, instance: "me", logger: TestCluster.logger, now: { clock.now })
            #expect(!publisher.hasPeers)
            #expect(await publisher.recordPeer())
            clock.move(by: HintPublisher.presence.validity - .nanoseconds(1))
            #expect(publisher.hasPeers)
            #expect(await !publisher.recordPeer())
            clock.move(by: HintPublisher.presence.validity)
            #expect(!publisher.hasPeers)
            #expect(await publisher.recordPeer())
        }
    }
}
