public import Ledger

extension LedgerHead {
    public func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("job", job.description)
            writer.field("sequence", place?.sequence)
            writer.field("hash", place.map { Hexadecimal.text($0.hash) })
        }
    }

    /// Reads what ``write(to:)`` writes.
    public init(_ value: JSONValue) throws(ResponseError) {
        let answer = ResponseReader(value)
        var place: ChainPosition?
        if let sequence = try answer.integerIfPresent("sequence") {
            place = ChainPosition(sequence: sequence, hash: try answer.hash("hash"))
        }
        self.init(job: try answer.job("job"), place: place)
    }
}
