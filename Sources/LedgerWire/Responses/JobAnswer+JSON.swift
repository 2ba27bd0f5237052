public import Ledger

extension JobAnswer {
    /// Writes the answer as a JSON object.
    public func write(to writer: inout JSONWriter) {
        writer.object { writeFields(to: &$0) { writer, name in writer.string(name.text) } }
    }

    /// Writes the fields of the answer.
    ///
    /// - Parameter writeName: Writes a name that comes from the job.
    public func writeFields(
        to writer: inout JSONWriter, writeName: (inout JSONWriter, Name) -> Void
    ) {
        writer.field("text", text)
        writer.field("state", state.rawValue)
        writer.field("percent", percent)
        writer.name("remaining_seconds")
        if let remaining {
            writer.object { writer in
                writer.field("p10", remaining.p10.roundedSeconds)
                writer.field("p50", remaining.p50.roundedSeconds)
                writer.field("p90", remaining.p90.roundedSeconds)
            }
        } else {
            writer.null()
        }
        writer.name("finish_at")
        if let finishAt {
            writer.object { writer in
                writer.field("p10", RFC3339.text(finishAt.p10))
                writer.field("p50", RFC3339.text(finishAt.p50))
                writer.field("p90", RFC3339.text(finishAt.p90))
            }
        } else {
            writer.null()
        }
        writer.field("stalled_since", stalledSince.map(RFC3339.text))
        writer.field("failed_tasks", failedTasks)
        writer.name("waiting_for")
        if let waitingFor {
            writer.object { writer in
                writer.name("label")
                if let label = waitingFor.label { writeName(&writer, label) } else { writer.null() }
                writer.name("tasks")
                writer.array(waitingFor.tasks) { writeName(&$0, $1) }
            }
        } else {
            writer.null()
        }
        writer.field("ask_again_seconds", askAgain.components.seconds)
    }

    /// Parses the output of ``write(to:)``; ignores unknown fields.
    public init(_ value: JSONValue) throws(ResponseError) {
        let reader = ResponseReader(value)
        guard let state = JobState(rawValue: try reader.text("state")) else { throw ResponseError(field: "state") }
        let waiting = value["waiting_for"]
        self.init(
            text: try reader.text("text"), state: state, percent: value["percent"]?.integer.map { Int(clamping: $0) },
            remaining: try JobEstimate.remaining(value["remaining_seconds"] ?? .null),
            finishAt: try FinishTimes(value["finish_at"] ?? .null),
            stalledSince: try reader.timestampIfPresent("stalled_since"),
            failedTasks: try reader.integer("failed_tasks"),
            waitingFor: waiting?["tasks"]?.elements.map { tasks in
                AwaitedWork(
                    label: waiting?["label"]?.text.map { Name($0) },
                    tasks: tasks.compactMap { $0.text.map { Name($0) } })
            }, askAgain: .seconds(try reader.integer("ask_again_seconds")))
    }
}

extension JobAnswer.FinishTimes {
    fileprivate init?(_ value: JSONValue) throws(ResponseError) {
        guard case .object = value else { return nil }
        let reader = ResponseReader(value)
        self.init(
            p10: try reader.timestamp("p10"), p50: try reader.timestamp("p50"), p90: try reader.timestamp("p90"))
    }
}
