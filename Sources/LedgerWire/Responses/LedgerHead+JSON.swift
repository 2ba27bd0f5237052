public import Ledger

extension LedgerHead {
    public func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("job", job.description)
            writer.field("sequence", position?.sequence)
            writer.field("hash", position?.hash.description)
        }
    }

    /// Parses the output of ``write(to:)``.
    public init(_ value: JSONValue) throws(ResponseError) {
        let reader = ResponseReader(value)
        var position: ChainPosition?
        if let sequence = try reader.sequenceIfPresent("sequence") {
            position = ChainPosition(sequence: sequence, hash: try reader.hash("hash"))
        }
        self.init(job: try reader.job("job"), position: position)
    }
}
