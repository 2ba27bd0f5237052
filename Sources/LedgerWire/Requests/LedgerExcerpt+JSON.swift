public import Ledger

// An exported ledger is NDJSON: a header line, then one line for each event, from the first on.

extension LedgerExcerpt {
    /// The format name in the header of an export; a new format gets a new number.
    public static let format = "progress-ledger-export-1"

    /// Writes the header: the job, the number of events, and the hash of the last one.
    public func writeHeader(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("format", Self.format)
            writer.field("job", job.description)
            writer.field("events", head.sequence)
            writer.field("head_hash", head.hash.description)
        }
    }

    /// Parses the header.
    ///
    /// - Throws: ``ResponseError`` with the name of the field that is missing or invalid.
    public init(header value: JSONValue) throws(ResponseError) {
        let reader = ResponseReader(value)
        guard try reader.text("format") == Self.format else { throw ResponseError(field: "format") }
        let head = ChainPosition(
            sequence: try reader.sequence("events"), hash: try reader.hash("head_hash"))
        guard head.sequence > 0 else { throw ResponseError(field: "events") }
        self.init(job: try reader.job("job"), head: head)
    }
}
