import Ledger
import LedgerWire
import ProgressLedgerClient

/// Verifies the hash chains of jobs by requests to a server.
///
/// A chain is verified range by range, which makes progress visible and lets an interrupted verification resume.
struct RemoteChainVerifier {
    let client: LedgerClient

    /// The most events that the server checks per request: about a second of work.
    private static let eventsPerRequest: Int = 100_000

    /// The result for one job, with the JSON document of the server's last response.
    struct Finding {
        let verification: Verification
        let document: String
    }

    /// Verifies a job up to its head, or up to its first fault.
    ///
    /// - Parameters:
    ///   - start: The event after which verification begins; it was verified before.
    ///   - anchor: A position and hash that the chain must contain.
    ///   - report: Called after each range with the result so far.
    func verify(
        _ job: JobID, after start: ChainPosition? = nil, anchor: ChainPosition? = nil,
        report: (Verification) -> Void
    ) async throws -> Finding {
        var range = Verification.Range(after: start, limit: Self.eventsPerRequest, anchor: anchor)
        while true {
            let (response, document) = try await client.sendForJSON(.verify(job, range), as: VerificationResponse.self)
            let verification = response.verification
            report(verification)
            if verification.isComplete { return Finding(verification: verification, document: document) }
            range.after = ChainPosition(sequence: verification.sequence, hash: verification.headHash)
        }
    }

    /// The result as one line of text.
    static func text(_ job: JobID, _ verification: Verification, anchor: ChainPosition? = nil) -> String {
        if let fault = verification.fault {
            return "\(job)  \(fault.kind) at \(fault.sequence): \(VisibleText.escape(fault.detail))"
        }
        if let retiredAt = verification.retiredAt {
            return "\(job)  retired through \(verification.sequence) at \(RFC3339.text(retiredAt))"
        }
        return "\(job)  whole through \(verification.sequence)" + (anchor.map { ", anchored at \($0.sequence)" } ?? "")
    }
}
