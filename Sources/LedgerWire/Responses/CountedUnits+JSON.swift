internal import Ledger

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
