public import Ledger

extension Explanation {
    public func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("label", indicator.label?.text)
            writer.field("sequence", sequence)
            writer.name("tasks")
            writer.array(tasks) { writer, entries in
                writer.object { writer in
                    writer.field("task", entries.first?.task.text)
                    writer.name("executions")
                    writer.array(entries) { $1.write(to: &$0) }
                }
            }
            writer.name("conservation")
            writer.object { writer in
                writer.field("received", indicator.received)
                writer.field("counted", indicator.counted)
                writer.field("superseded", indicator.superseded)
                writer.field("discarded", indicator.discarded)
                writer.field("attempted", indicator.attempted)
            }
            writer.field("next_cursor", nextCursor?.description)
        }
    }

    /// The entries, grouped by task.
    private var tasks: [ArraySlice<Entry>] {
        var tasks: [ArraySlice<Entry>] = []
        var start = 0
        for index in 1...max(1, entries.count)
        where index >= entries.count || entries[index].task != entries[start].task {
            if start < entries.count { tasks.append(entries[start..<min(index, entries.count)]) }
            start = index
        }
        return tasks
    }

    /// Parses the output of ``write(to:)``.
    ///
    /// The JSON does not contain the id of the indicator, the numbers of events and the time of the last change; they
    /// are set to 0.
    public init(_ value: JSONValue) throws(ResponseError) {
        let reader = ResponseReader(value)
        guard let line = value["conservation"] else { throw ResponseError(field: "conservation") }
        let indicator = IndicatorState(
            id: IndicatorID(0), label: value["label"]?.text.map { Name($0) }, received: try line.units("received"),
            counted: try line.units("counted"), superseded: try line.units("superseded"),
            discarded: try line.units("discarded"), updatedAt: Timestamp(microseconds: 0))
        var entries: [Entry] = []
        for task in value["tasks"]?.elements ?? [] {
            let name = Name(try ResponseReader(task).text("task"))
            for execution in task["executions"]?.elements ?? [] { entries.append(try Entry(execution, of: name)) }
        }
        self.init(
            sequence: try reader.sequence("sequence"), indicator: indicator, entries: entries,
            nextCursor: value["next_cursor"]?.text.flatMap { Cursor($0) })
    }
}

extension Explanation.Entry {
    fileprivate func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("execution", execution.execution?.text)
            writer.field("attempt", execution.attempt)
            writer.field("sequence", execution.id.sequence)
            writer.field("is_counted", isCounted)
            writer.field("counted", counted)
            writer.field("superseded", superseded)
            writer.field("discarded", discarded)
            writer.name("superseded_by")
            if let supersededBy { supersededBy.write(to: &writer) } else { writer.null() }
        }
    }

    fileprivate init(_ value: JSONValue, of task: Name) throws(ResponseError) {
        var supersededBy: ExecutionIdentity?
        if let winner = value["superseded_by"], winner != .null { supersededBy = try ExecutionIdentity(winner) }
        let superseded = try value.units("superseded")
        self.init(
            task: task, execution: try ExecutionIdentity(value), reported: try value.units("counted") + superseded,
            discarded: try value.units("discarded"), isCounted: value["is_counted"] == .bool(true),
            supersededBy: supersededBy)
    }
}
