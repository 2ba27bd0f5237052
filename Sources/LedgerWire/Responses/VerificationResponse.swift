public import Ledger

/// The result of the check of a job's ledger, as a response.
public struct VerificationResponse: Hashable, Sendable {
    /// The job.
    public var job: JobID
    public var verification: Verification

    public init(job: JobID, _ verification: Verification) {
        self.job = job
        self.verification = verification
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("job", job.description)
            writer.field("ok", verification.isIntact)
            writer.field("sequence", verification.sequence)
            writer.field("head_hash", verification.headHash.description)
            writer.field("ledger_sequence", verification.ledgerSequence)
            writer.field("complete", verification.isComplete)
            writer.field("retired_at", verification.retiredAt.map(RFC3339.text))
            writer.name("fault")
            guard let fault = verification.fault else { return writer.null() }
            writer.object { writer in
                writer.field("kind", fault.kind.rawValue)
                writer.field("sequence", fault.sequence)
                writer.field("detail", fault.detail)
            }
        }
    }

    public init(_ value: JSONValue) throws(ResponseError) {
        let reader = ResponseReader(value)
        var fault: Verification.Fault?
        if let found = value["fault"], found != .null {
            let reader = ResponseReader(found)
            guard let kind = Verification.Kind(rawValue: try reader.text("kind")) else {
                throw ResponseError(field: "fault/kind")
            }
            fault = Verification.Fault(kind, at: try reader.sequence("sequence"), try reader.text("detail"))
        }
        self.init(
            job: try reader.job("job"),
            Verification(
                sequence: try reader.sequence("sequence"), headHash: try reader.hash("head_hash"),
                ledgerSequence: try reader.sequence("ledger_sequence"), fault: fault,
                retiredAt: try reader.timestampIfPresent("retired_at")))
    }
}
