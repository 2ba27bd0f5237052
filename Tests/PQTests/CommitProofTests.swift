import Testing

@testable import PQ

@Suite("What the response to a commit proves")
struct CommitProofTests {
    private static func failure(_ state: String, severity: String = "ERROR") -> PQError {
        PQError(
            .server, "refused", sqlState: SQLState(rawValue: state),
            server: PQError.ServerReport(message: "refused", severity: severity))
    }

    private static let loss = PQError(.connectionLost, "lost")
    private static let warning = "canceling wait for synchronous replication due to user request"

    @Test("success without a warning is the only proof of a commit")
    func committed() {
        #expect(CommitProof(failure: nil, loss: nil, replicationWarning: nil).error == nil)
        let local = CommitProof(failure: nil, loss: nil, replicationWarning: Self.warning).error
        #expect(local?.code == .notReplicated)
        #expect(local?.isOutcomeUnknown == true)
        #expect(local?.isRetrySafe == false)
        #expect(CommitProof(failure: nil, loss: Self.loss, replicationWarning: nil).error?.isOutcomeUnknown == true)
    }

    @Test("an error of a statement refuses the commit, unless it ends the session or comes from behind the server")
    func refused() {
        for state in ["23505", "57014", "40001", "53100"] {
            let error = CommitProof(failure: Self.failure(state), loss: nil, replicationWarning: nil).error
            #expect(error?.isOutcomeUnknown == false, "\(state)")
        }
        // Class 08 sent by the server: a pooler or a coordinator lost the server that commits.
        for state in ["08006", "08003", "08P01", "08000"] {
            let error = CommitProof(failure: Self.failure(state), loss: nil, replicationWarning: nil).error
            #expect(error?.isOutcomeUnknown == true && error?.isRetrySafe == false, "\(state)")
        }
        let ended = CommitProof(
            failure: Self.failure("57P01", severity: "FATAL"), loss: nil, replicationWarning: nil)
        #expect(ended.error?.isOutcomeUnknown == true)
        let warned = CommitProof(failure: Self.failure("57014"), loss: nil, replicationWarning: Self.warning)
        #expect(warned.error?.isOutcomeUnknown == true)
    }

    @Test("a statement has the same name in every session, and no other statement has it")
    func names() {
        let query = Query("select $1", [.int8(1)])
        #expect(StatementCache.name(for: query) == StatementCache.name(for: Query("select $1", [.int8(2)])))
        #expect(StatementCache.name(for: query) != StatementCache.name(for: Query("select $1", [.text("1")])))
        #expect(StatementCache.name(for: query) != StatementCache.name(for: Query("select $1 ", [.int8(1)])))
    }
}
