public import Ledger

extension TaskSummary {
    public func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("task", name.text)
            writer.field("state", state.rawValue)
            writer.field("first_sequence", id.sequence)
            writer.field("execution_count", executionCount)
            writer.name("executions")
            writer.array(executions) { $1.write(to: &$0) }
        }
    }

    /// Parses the output of ``write(to:)``; ignores unknown fields.
    public init(_ value: JSONValue) throws(ResponseError) {
        let reader = ResponseReader(value)
        guard let state = TaskState(rawValue: try reader.text("state")) else { throw ResponseError(field: "state") }
        var executions: [ExecutionSummary] = []
        for element in value["executions"]?.elements ?? [] { executions.append(try ExecutionSummary(element)) }
        self.init(
            name: Name(try reader.text("task")), state: state, id: TaskID(try reader.sequence("first_sequence")),
            executionCount: try reader.integer("execution_count"), executions: executions)
    }
}
