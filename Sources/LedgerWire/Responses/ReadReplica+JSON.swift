internal import Ledger

extension LedgerStatus.ReadReplica {
    func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("lag_bytes", lagBytes)
            writer.field("lag_microseconds", lagSeconds.map(LedgerStatus.microseconds))
            writer.field("reads", Int64(clamping: reads))
            writer.field("fallbacks", Int64(clamping: fallbacks))
            writer.field("fault", fault)
        }
    }

    init(_ value: JSONValue) throws(ResponseError) {
        let reader = ResponseReader(value)
        self.init()
        lagBytes = try reader.integerIfPresent("lag_bytes")
        lagSeconds = try reader.integerIfPresent("lag_microseconds").map { Double($0) / 1e6 }
        reads = UInt64(clamping: try reader.integer("reads"))
        fallbacks = UInt64(clamping: try reader.integer("fallbacks"))
        fault = value["fault"]?.text
    }
}
