import Testing

@testable import PQ

@Suite("Commit proofs")
struct CommitOutcomeTests {
    private static func failure(_ state: String, severity: String = "ERROR") -> PQError {
        PQError(
            .server, "refused", sqlState: SQLState(rawValue: state),
            server: PQError.ServerReport(message: "refused", severity: severity))
    }

    private static let loss = PQError(.connectionLost, "lost")
    private static let warning = "canceling wait for synchronous replication due to user request"

    @Test("only a success without a warning proves a commit")
    func committed() {
        #expect(CommitOutcome(failure: nil, loss: nil, replicationWarning: nil).error == nil)
        let local = CommitOutcome(failure: nil, loss: nil, replicationWarning: Self.warning).error
        #expect(local?.code == .notReplicated)
        #expect(local?.isOutcomeUnknown == true)
        #expect(local?.isRetrySafe == false)
        #expect(CommitOutcome(failure: nil, loss: Self.loss, replicationWarning: nil).error?.isOutcomeUnknown == true)
    }

    @Test("a statement's error refutes the commit, unless it ends the session or has class 08")
    func refused() {
        for state in ["23505", "57014", "40001", "53100"] {
            let error = CommitOutcome(failure: Self.failure(state), loss: nil, replicationWarning: nil).error
            #expect(error?.isOutcomeUnknown == false, "\(state)")
        }
        // Class 08 sent by the server: a pooler or a coordinator has lost the server that commits.
        for state in ["08006", "08003", "08P01", "08000"] {
            let error = CommitOutcome(failure: Self.failure(state), loss: nil, replicationWarning: nil).error
            #expect(error?.isOutcomeUnknown == true && error?.isRetrySafe == false, "\(state)")
        }
        let ended = CommitOutcome(
            failure: Self.failure("57P01", severity: "FATAL"), loss: nil, replicationWarning: nil)
        #expect(ended.error?.isOutcomeUnknown == true)
        let warned = CommitOutcome(failure: Self.failure("57014"), loss: nil, replicationWarning: Self.warning)
        #expect(warned.error?.isOutcomeUnknown == true)
    }

    @Test("a statement's name is the same in every session and belongs to no other statement")
    func names() {
        let query = Query("select $1", [.int8(1)])
        #expect(StatementCache.name(for: query) == StatementCache.name(for: Query("select $1", [.int8(2)])))
        #expect(StatementCache.name(for: query) != StatementCache.name(for: Query("select $1", [.text("1")])))
        #expect(StatementCache.name(for: query) != StatementCache.name(for: Query("select $1 ", [.int8(1)])))
    }
}
