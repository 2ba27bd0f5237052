internal import Ledger

extension ExecutionSummary.CountedUnits {
    func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("label", label?.text)
            writer.field("total", units.total)
            writer.field("done", units.done)
        }
    }

    /// Parses the output of ``write(to:)``.
    init(_ value: JSONValue) throws(ResponseError) {
        let reader = ResponseReader(value)
        self.init(
            label: value["label"]?.text.map { Name($0) },
            units: Units(total: try reader.big("total"), done: try reader.big("done")))
    }
}
