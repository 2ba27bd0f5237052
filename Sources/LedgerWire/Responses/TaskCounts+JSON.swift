internal import Ledger

extension TaskCounts {
    func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("total", total)
            writer.field("running", running)
            writer.field("succeeded", succeeded)
            writer.field("failed", failed)
            writer.field("canceled", canceled)
            writer.field("abandoned", abandoned)
            writer.field("executions", executions)
            writer.field("superseded_executions", supersededExecutions)
        }
    }

    /// Reads what ``write(to:)`` writes; sums that follow from the others are passed over.
    init(_ value: JSONValue) throws(ResponseError) {
        let answer = ResponseReader(value)
        self.init()
        running = try answer.integer("running")
        succeeded = try answer.integer("succeeded")
        failed = try answer.integer("failed")
        canceled = try answer.integer("canceled")
        // A server of an earlier version does not have it.
        if value["abandoned"] != nil { abandoned = try answer.integer("abandoned") }
        executions = try answer.integer("executions")
    }
}
