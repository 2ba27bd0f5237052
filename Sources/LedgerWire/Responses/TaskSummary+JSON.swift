public import Ledger

extension TaskSummary {
    public func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("task", name.text)
            writer.field("state", state.rawValue)
            writer.field("first_sequence", firstSequence)
            writer.field("execution_count", executionCount)
            writer.name("executions")
            writer.array(executions) { $1.write(to: &$0) }
        }
    }

    /// Reads what ``write(to:)`` writes; fields that are not known are passed over.
    public init(_ value: JSONValue) throws(ResponseError) {
        let answer = ResponseReader(value)
        guard let state = TaskState(rawValue: try answer.text("state")) else { throw ResponseError(field: "state") }
        var executions: [ExecutionSummary] = []
        for element in value["executions"]?.elements ?? [] { executions.append(try ExecutionSummary(element)) }
        self.init(
            name: Name(try answer.text("task")), state: state, firstSequence: try answer.integer("first_sequence"),
            executionCount: try answer.integer("execution_count"), executions: executions)
    }
}
