internal import Ledger

extension ExecutionSummary {
    func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("execution", name?.text)
            writer.field("attempt", attempt)
            writer.field("outcome", outcome?.rawValue)
            writer.field("first_sequence", id.sequence)
            writer.field("last_sequence", lastSequence)
            writer.field("started_at", RFC3339.text(startedAt))
            writer.field("last_at", RFC3339.text(lastAt))
            writer.field("counted", isCounted)
            writer.field("provisional", isProvisional)
            writer.field("message", message?.text)
            writer.field("link", link?.text)
            writer.field("reporter", reporter?.text)
            writer.field("silent_since", silentSince.map(RFC3339.text))
            writer.name("progress")
            writer.array(progress) { $1.write(to: &$0) }
        }
    }

    init(_ value: JSONValue) throws(ResponseError) {
        let reader = ResponseReader(value)
        guard let attempt = Int32(exactly: try reader.integer("attempt")) else { throw ResponseError(field: "attempt") }
        var outcome: ExecutionOutcome?
        if let text = value["outcome"]?.text {
            guard let parsed = ExecutionOutcome(rawValue: text) else { throw ResponseError(field: "outcome") }
            outcome = parsed
        }
        var progress: [CountedUnits] = []
        for element in value["progress"]?.elements ?? [] { progress.append(try CountedUnits(element)) }
        self.init(
            name: value["execution"]?.text.map { Name($0) }, attempt: attempt, outcome: outcome,
            id: ExecutionID(try reader.sequence("first_sequence")), lastSequence: try reader.sequence("last_sequence"),
            startedAt: try reader.timestamp("started_at"), lastAt: try reader.timestamp("last_at"),
            isCounted: value["counted"] == .bool(true), isProvisional: value["provisional"] == .bool(true),
            reporter: value["reporter"]?.text.map { Name($0) },
            message: value["message"]?.text.map { Name($0) }, link: value["link"]?.text.map { Name($0) },
            silentSince: try reader.timestampIfPresent("silent_since"), progress: progress)
    }
}
