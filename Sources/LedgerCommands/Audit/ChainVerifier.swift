import Ledger
import LedgerWire
import ProgressLedgerClient

/// Has a server check the ledgers of jobs, stretch by stretch, so that a large one can be watched and taken up again.
struct ChainVerifier {
    let client: LedgerClient

    /// Events that the server checks for one answer: about a second's work.
    private static let stretch: Int64 = 100_000

    /// What was found, and the server's last words.
    struct Finding {
        let verification: Verification
        let document: String
    }

    /// Checks a job to its end, or to the first thing that is wrong.
    ///
    /// - Parameters:
    ///   - start: The event after which it begins, which was checked before.
    ///   - anchor: What one of its events is known to have been.
    ///   - note: Hears how far it is.
    func verify(
        _ job: JobID, after start: ChainPosition? = nil, anchor: ChainPosition? = nil,
        note: (Verification) -> Void
    ) async throws -> Finding {
        var stretch = Verification.Range(after: start, limit: Self.stretch, anchor: anchor)
        while true {
            let (answer, document) = try await client.askForJSON(.verify(job, stretch), as: VerificationResponse.self)
            let verification = answer.verification
            note(verification)
            if verification.isComplete { return Finding(verification: verification, document: document) }
            stretch.after = ChainPosition(sequence: verification.sequence, hash: verification.headHash)
        }
    }

    /// What was found, in a line.
    static func text(_ job: JobID, _ verification: Verification, anchor: ChainPosition? = nil) -> String {
        if let fault = verification.fault {
            return "\(job)  \(fault.kind) at \(fault.sequence): \(VisibleText.escape(fault.detail))"
        }
        return "\(job)  whole through \(verification.sequence)" + (anchor.map { ", anchored at \($0.sequence)" } ?? "")
    }
}
