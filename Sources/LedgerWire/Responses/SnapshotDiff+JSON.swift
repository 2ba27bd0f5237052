public import Ledger

extension SnapshotDiff {
    public func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.name("from")
            from.writePoint(to: &writer)
            writer.name("to")
            to.writePoint(to: &writer)
            writer.name("events")
            writer.object { writer in
                for verdict in Verdict.allCases { writer.field(verdict.rawValue, events[verdict] ?? 0) }
            }
            writer.name("progress")
            writer.array(indicators) { $1.write(to: &$0) }
            started.write("started", to: &writer) { started, writer in
                writer.field("task", started.task.text)
                started.execution.writeFields(to: &writer)
                writer.field("at", RFC3339.text(started.at))
                writer.field("late", started.isLate)
            }
            finished.write("finished", to: &writer) { finished, writer in
                writer.field("task", finished.task.text)
                finished.execution.writeFields(to: &writer)
                writer.field("at_sequence", finished.sequence)
                writer.field("at", RFC3339.text(finished.at))
                writer.field("outcome", finished.outcome.rawValue)
            }
            superseded.write("superseded", to: &writer) { superseded, writer in
                writer.field("task", superseded.task.text)
                superseded.execution.writeFields(to: &writer)
                writer.field("at", RFC3339.text(superseded.at))
                writer.name("superseded_by")
                superseded.by.write(to: &writer)
                writer.name("lost")
                writer.array(superseded.lost) { $1.write(to: &$0) }
            }
        }
    }
}

extension SnapshotDiff.Changes {
    fileprivate func write(
        _ name: String, to writer: inout JSONWriter, _ body: (Change, inout JSONWriter) -> Void
    ) {
        writer.name(name)
        writer.object { writer in
            writer.field("count", count)
            writer.name("first")
            writer.array(first) { writer, change in writer.object { body(change, &$0) } }
        }
    }
}

extension SnapshotDiff.IndicatorChange {
    fileprivate func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("label", label?.text)
            for (name, units) in [("from", from), ("to", to)] {
                if let units {
                    writer.field(name, units)
                } else {
                    writer.name(name)
                    writer.null()
                }
            }
            writer.field("change", (to ?? .zero) - (from ?? .zero))
        }
    }
}

extension Snapshot {
    /// Writes the snapshot without its indicators.
    fileprivate func writePoint(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("sequence", sequence)
            writer.field("at", updatedAt.map(RFC3339.text))
            writer.field("state", state.rawValue)
            writer.name("tasks")
            tasks.write(to: &writer)
        }
    }
}

// MARK: Reading

extension SnapshotDiff {
    /// Parses the output of ``write(to:)``.
    ///
    /// The snapshots contain only the indicators that changed, and no separate attempted units.
    public init(_ value: JSONValue) throws(ResponseError) {
        var events: [Verdict: Int64] = [:]
        guard let counts = value["events"] else { throw ResponseError(field: "events") }
        for verdict in Verdict.allCases {
            let count = try ResponseReader(counts).integer(verdict.rawValue)
            if count > 0 { events[verdict] = count }
        }
        var from = try Snapshot(point: value, "from")
        var to = try Snapshot(point: value, "to")
        for element in value["progress"]?.elements ?? [] {
            let label = element["label"]?.text.map { Name($0) }
            if let units = try element.unitsIfPresent("from") { from.add(label, units) }
            if let units = try element.unitsIfPresent("to") { to.add(label, units) }
        }
        self.init(
            from: from, to: to, events: events, started: try Changes(value, "started", Started.init(json:)),
            finished: try Changes(value, "finished", Finished.init(json:)),
            superseded: try Changes(value, "superseded", Superseded.init(json:)))
    }
}

extension Snapshot {
    fileprivate init(point value: JSONValue, _ field: String) throws(ResponseError) {
        guard let point = value[field], let state = point["state"]?.text.flatMap({ JobState(rawValue: $0) }),
            let tasks = point["tasks"]
        else { throw ResponseError(field: field) }
        let reader = ResponseReader(point)
        self.init(
            sequence: try reader.sequence("sequence"), state: state, createdAt: nil, startedAt: nil,
            updatedAt: try reader.timestampIfPresent("at"), finishedAt: nil, tasks: try TaskCounts(tasks),
            indicators: [])
    }

    fileprivate mutating func add(_ label: Name?, _ units: Units) {
        indicators.append(
            Indicator(
                label: label, counted: units, attempted: units, updatedAt: updatedAt ?? Timestamp(microseconds: 0)))
    }
}

extension SnapshotDiff.Changes {
    fileprivate init(
        _ value: JSONValue, _ field: String, _ read: (JSONValue) throws(ResponseError) -> Change
    ) throws(ResponseError) {
        self.init()
        guard let changes = value[field] else { throw ResponseError(field: field) }
        count = try ResponseReader(changes).integer("count")
        for element in changes["first"]?.elements ?? [] { first.append(try read(element)) }
    }
}

extension SnapshotDiff.Started {
    fileprivate init(json value: JSONValue) throws(ResponseError) {
        let reader = ResponseReader(value)
        self.init(
            task: Name(try reader.text("task")), execution: try ExecutionIdentity(value),
            at: try reader.timestamp("at"),
            isLate: value["late"] == .bool(true))
    }
}

extension SnapshotDiff.Finished {
    fileprivate init(json value: JSONValue) throws(ResponseError) {
        let reader = ResponseReader(value)
        guard let outcome = ExecutionOutcome(rawValue: try reader.text("outcome")) else {
            throw ResponseError(field: "outcome")
        }
        self.init(
            task: Name(try reader.text("task")), execution: try ExecutionIdentity(value),
            sequence: try reader.sequence("at_sequence"), at: try reader.timestamp("at"), outcome: outcome)
    }
}

extension SnapshotDiff.Superseded {
    fileprivate init(json value: JSONValue) throws(ResponseError) {
        let reader = ResponseReader(value)
        guard let winner = value["superseded_by"] else { throw ResponseError(field: "superseded_by") }
        var lost: [ExecutionSummary.CountedUnits] = []
        for element in value["lost"]?.elements ?? [] { lost.append(try ExecutionSummary.CountedUnits(element)) }
        self.init(
            task: Name(try reader.text("task")), execution: try ExecutionIdentity(value),
            by: try ExecutionIdentity(winner), at: try reader.timestamp("at"), lost: lost)
    }
}
