public import Ledger

extension ExecutionIdentity {
    public func write(to writer: inout JSONWriter) {
        writer.object { writeFields(to: &$0) }
    }

    func writeFields(to writer: inout JSONWriter) {
        writer.field("execution", execution?.text)
        writer.field("attempt", attempt)
        writer.field("sequence", id.sequence)
    }

    /// Parses the output of ``write(to:)``.
    public init(_ value: JSONValue) throws(ResponseError) {
        let reader = ResponseReader(value)
        guard let attempt = Int32(exactly: try reader.integer("attempt")) else { throw ResponseError(field: "attempt") }
        self.init(
            execution: value["execution"]?.text.map { Name($0) }, attempt: attempt,
            id: ExecutionID(try reader.sequence("sequence")))
    }
}
