public import Ledger

// An exported ledger is NDJSON: a line that says what it is, and a line for each event, from the first on.

extension LedgerExcerpt {
    /// What the first line of an export calls itself; another number stands for another form.
    public static let format = "progress-ledger-export-1"

    /// Writes the line that comes first: which job, how many events, and the hash of the last.
    public func writeHeader(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("format", Self.format)
            writer.field("job", job.description)
            writer.field("events", head.sequence)
            writer.field("head_hash", Hexadecimal.text(head.hash))
        }
    }

    /// Reads the first line.
    ///
    /// - Throws: ``ResponseError`` naming the field that is missing or cannot be read.
    public init(header value: JSONValue) throws(ResponseError) {
        let reader = ResponseReader(value)
        guard try reader.text("format") == Self.format else { throw ResponseError(field: "format") }
        let head = ChainPosition(
            sequence: try reader.integer("events"), hash: try reader.hash("head_hash"))
        guard head.sequence > 0 else { throw ResponseError(field: "events") }
        self.init(job: try reader.job("job"), head: head)
    }
}
