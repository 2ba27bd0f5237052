internal import Ledger

extension LedgerStatus.Shard {
    func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("shard", Int64(number))
            writer.field("slots", Int64(slots))
            writer.field("lag_jobs", lag)
            writer.field("fault", fault)
        }
    }

    init(_ value: JSONValue) throws(ResponseError) {
        let reader = ResponseReader(value)
        self.init(
            number: Int(clamping: try reader.integer("shard")), slots: Int(clamping: try reader.integer("slots")),
            lag: try reader.integer("lag_jobs"), fault: value["fault"]?.text)
    }
}
