public import Ledger

extension IndicatorHistory {
    public func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("label", label?.text)
            writer.field("sequence", sequence)
            writer.name("points")
            writer.array(points) { $1.write(to: &$0) }
        }
    }

    /// Parses the output of ``write(to:)``; ignores unknown fields.
    public init(_ value: JSONValue) throws(ResponseError) {
        var points: [Point] = []
        for element in value["points"]?.elements ?? [] { points.append(try Point(element)) }
        self.init(
            label: value["label"]?.text.map { Name($0) }, sequence: try ResponseReader(value).sequence("sequence"),
            points: points)
    }
}

extension IndicatorHistory.Point {
    fileprivate func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("sequence", sequence)
            writer.field("at", RFC3339.text(at))
            writer.field("total", counted.total)
            writer.field("done", counted.done)
            guard let cause else { return }
            writer.name("cause")
            writer.object { writer in
                writer.field("task", cause.task.text)
                cause.execution.writeFields(to: &writer)
                writer.name("superseded")
                cause.superseded.write(to: &writer)
                writer.field("lost", cause.lost)
            }
        }
    }

    fileprivate init(_ value: JSONValue) throws(ResponseError) {
        let reader = ResponseReader(value)
        var cause: IndicatorHistory.Cause?
        if let given = value["cause"], given != .null {
            guard let superseded = given["superseded"] else { throw ResponseError(field: "superseded") }
            cause = IndicatorHistory.Cause(
                task: Name(try ResponseReader(given).text("task")), execution: try ExecutionIdentity(given),
                superseded: try ExecutionIdentity(superseded), lost: try given.units("lost"))
        }
        self.init(
            sequence: try reader.sequence("sequence"), at: try reader.timestamp("at"),
            counted: Units(total: try reader.big("total"), done: try reader.big("done")), cause: cause)
    }
}
