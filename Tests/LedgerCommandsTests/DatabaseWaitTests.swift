import LedgerStore
import PQ
import Testing

@testable import LedgerCommands

@Suite("Waiting for the database")
struct DatabaseWaitTests {
    private static let unknown = PQError(.connectionLost, "lost", isOutcomeUnknown: true)

    @Test(
        "a lost connection, even during a commit, may pass",
        arguments: [
            unknown, StoreError(.outcomeUnknown, "lost", cause: unknown), PQError(.connectionLost, "lost"),
            PQError(.deadlineExceeded, "late", isOutcomeUnknown: true), PQError(.connectionFailed, "refused"),
            PQError(.server, "stopped", sqlState: .adminShutdown, isOutcomeUnknown: true),
        ] as [any Error & Sendable])
    func lostConnectionsMayPass(error: any Error & Sendable) {
        #expect(DatabaseWait.isTransient(error))
    }

    @Test(
        "a refused login or session, or a defect, does not pass",
        arguments: [
            PQError(.connectionFailed, "password", sqlState: SQLState(rawValue: "28P01")),
            PQError(.connectionFailed, "no such database", sqlState: SQLState(rawValue: "3D000")),
            PQError(.sessionRefused, "role", sqlState: .insufficientPrivilege), PQError(.decoding, "shape"),
            StoreError(.corrupt, "hash"),
        ] as [any Error & Sendable])
    func refusalsDoNotPass(error: any Error & Sendable) {
        #expect(!DatabaseWait.isTransient(error))
    }
}
