internal import Ledger

extension TaskCounts {
    /// - Parameter silent: The number of silent executions; nil writes none.
    func write(to writer: inout JSONWriter, silent: Int64? = nil) {
        writer.object { writer in
            writer.field("total", total)
            writer.field("running", running)
            writer.field("succeeded", succeeded)
            writer.field("failed", failed)
            writer.field("canceled", canceled)
            writer.field("abandoned", abandoned)
            writer.field("executions", executions)
            writer.field("superseded_executions", supersededExecutions)
            if let silent { writer.field("silent", silent) }
        }
    }

    /// Parses the output of ``write(to:)``; ignores sums that follow from other fields.
    init(_ value: JSONValue) throws(ResponseError) {
        let reader = ResponseReader(value)
        self.init()
        running = try reader.integer("running")
        succeeded = try reader.integer("succeeded")
        failed = try reader.integer("failed")
        canceled = try reader.integer("canceled")
        // A server of an earlier version does not send this field.
        if value["abandoned"] != nil { abandoned = try reader.integer("abandoned") }
        executions = try reader.integer("executions")
    }
}
