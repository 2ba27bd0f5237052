public import Ledger

extension RecordedEvent {
    /// Writes the event as it was recorded.
    public func write(to writer: inout JSONWriter) {
        let reference = event.body.reference
        ExplainedEvent(event: event, hash: hash, execution: reference?.execution, attempt: reference?.attempt)
            .writeRecorded(to: &writer)
    }

    /// Parses exactly the output of ``write(to:)``.
    ///
    /// Additional fields are refused, because the hash does not cover them.
    ///
    /// - Throws: ``ResponseError`` with the name of the field that is missing, invalid or additional.
    public init(_ value: JSONValue) throws(ResponseError) {
        let explained = try ExplainedEvent(value)
        self.init(event: explained.event, hash: explained.hash)
        var writer = JSONWriter()
        write(to: &writer)
        guard case .object(let given) = value else { throw ResponseError(field: "sequence") }
        let expected: JSONValue
        do { expected = try JSONReader.read(writer.bytes) } catch { throw ResponseError(field: "type") }
        guard given.count == Self.fieldCount(expected) else {
            throw ResponseError(field: given.first { expected[$0.name] == nil }?.name ?? "type")
        }
        for field in given where expected[field.name] != field.value { throw ResponseError(field: field.name) }
    }

    private static func fieldCount(_ value: JSONValue) -> Int {
        guard case .object(let fields) = value else { return 0 }
        return fields.count
    }
}
