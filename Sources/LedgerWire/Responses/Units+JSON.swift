public import Ledger

// Parts that several answers have in common.

extension JSONWriter {
    mutating func field(_ name: String, _ units: Units) {
        self.name(name)
        object { writer in
            writer.field("total", units.total)
            writer.field("done", units.done)
        }
    }
}

extension JSONValue {
    func units(_ field: String) throws(ResponseError) -> Units {
        guard let units = try unitsIfPresent(field) else { throw ResponseError(field: field) }
        return units
    }

    func unitsIfPresent(_ field: String) throws(ResponseError) -> Units? {
        guard let value = self[field], value != .null else { return nil }
        let answer = ResponseReader(value)
        return Units(total: try answer.big("total"), done: try answer.big("done"))
    }
}

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

extension ExecutionSummary.CountedUnits {
    func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("label", label?.text)
            writer.field("total", units.total)
            writer.field("done", units.done)
        }
    }

    /// Reads what ``write(to:)`` writes.
    init(_ value: JSONValue) throws(ResponseError) {
        let answer = ResponseReader(value)
        self.init(
            label: value["label"]?.text.map { Name($0) },
            units: Units(total: try answer.big("total"), done: try answer.big("done")))
    }
}

extension ExecutionIdentity {
    public func write(to writer: inout JSONWriter) {
        writer.object { writeFields(to: &$0) }
    }

    func writeFields(to writer: inout JSONWriter) {
        writer.field("execution", execution?.text)
        writer.field("attempt", attempt)
        writer.field("sequence", sequence)
    }

    /// Reads what ``write(to:)`` writes.
    public init(_ value: JSONValue) throws(ResponseError) {
        let answer = ResponseReader(value)
        guard let attempt = Int32(exactly: try answer.integer("attempt")) else { throw ResponseError(field: "attempt") }
        self.init(
            execution: value["execution"]?.text.map { Name($0) }, attempt: attempt,
            sequence: try answer.integer("sequence"))
    }
}
