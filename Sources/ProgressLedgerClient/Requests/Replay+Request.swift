import Ledger
import LedgerWire

extension Replay.Request {
    func writeRequest(to writer: inout JSONWriter) {
        writer.object { writer in
            if let job { writer.field("job", job.description) }
            writer.field("policy", policy.rawValue)
            writer.field("apply", applies)
        }
    }
}
