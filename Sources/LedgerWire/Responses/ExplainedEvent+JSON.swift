public import Ledger

extension ExplainedEvent {
    /// Writes the event for a response, without the fields that do not apply.
    public func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("sequence", event.sequence)
            writer.field("type", event.body.type.name)
            writeBody(to: &writer)
            writeSource(to: &writer)
            if !inferred.isEmpty {
                writer.name("inferred")
                writer.array(inferred) { $0.string($1) }
            }
            writer.field("verdict", verdict?.rawValue)
            if late { writer.field("late", true) }
            if let supersededBy {
                writer.name("superseded_by")
                supersededBy.write(to: &writer)
            }
            if let duplicateOf { writer.field("duplicate_of", duplicateOf) }
            writer.field("hash", hash.description)
        }
    }

    /// Writes the event as it was recorded.
    ///
    /// It contains nothing that the fold has derived, and nothing that a later event changes.
    func writeRecorded(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("sequence", event.sequence)
            writer.field("type", event.body.type.name)
            writeBody(to: &writer)
            writeSource(to: &writer)
            writer.field("hash", hash.description)
        }
    }

    /// Writes the message, the link, the reporter and the times.
    private func writeSource(to writer: inout JSONWriter) {
        if let message = event.message { writer.field("message", message.text) }
        if let link = event.link { writer.field("link", link.text) }
        if let reporter = event.reporter { writer.field("reporter", reporter.text) }
        if let at = event.at { writer.field("at", RFC3339.text(at)) }
        writer.field("recorded_at", RFC3339.text(event.recordedAt))
    }

    private func writeBody(to writer: inout JSONWriter) {
        if let reference = event.body.reference {
            writer.field("task", reference.task.text)
            if let execution { writer.field("execution", execution.text) }
            if let attempt { writer.field("attempt", attempt) }
        }
        switch event.body {
        case .jobCreated(let description):
            writer.field("name", description.name.text)
            if let key = description.key { writer.field("key", key.text) }
            if !description.tags.isEmpty {
                writer.name("tags")
                writer.object { writer in
                    for (name, value) in description.sortedTags { writer.field(name.text, value.text) }
                }
            }
        case .executionStarted: break
        case .progress(let progress):
            if let report = progress.report { writer.field("report", report) }
            if let label = progress.label { writer.field("label", label.text) }
            if let total = progress.total { writer.field("total", total) }
            if let done = progress.done { writer.field("done", done) }
            if let carried = progress.carried { writer.field("carried", carried) }
            if let unit = progress.unit { writer.field("unit", unit.text) }
            if let part = progress.part { writer.field("part", part.text) }
        case .executionFinished(_, let outcome): writer.field("outcome", outcome.rawValue)
        case .jobFinished(let outcome): writer.field("outcome", outcome.rawValue)
        }
    }

    /// The fields that are shown although the event itself does not have them.
    private var inferred: [String] {
        guard let reference = event.body.reference else { return [] }
        var names: [String] = []
        if execution != nil, reference.execution == nil { names.append("execution") }
        if attempt != nil, reference.attempt == nil { names.append("attempt") }
        return names
    }

    /// Parses the output of ``write(to:)``; ignores unknown fields.
    public init(_ value: JSONValue) throws(ResponseError) {
        let reader = ResponseReader(value)
        guard let type = EventType(name: try reader.text("type")) else { throw ResponseError(field: "type") }
        let inferred = (value["inferred"]?.elements ?? []).compactMap(\.text)
        let event = Event(
            sequence: try reader.sequence("sequence"), recordedAt: try reader.timestamp("recorded_at"),
            at: try reader.timestampIfPresent("at"), reporter: value["reporter"]?.text.map { Name($0) },
            message: value["message"]?.text.map { Name($0) }, link: value["link"]?.text.map { Name($0) },
            body: try Self.body(type, reader, inferred))
        let attempt = try reader.integerIfPresent("attempt").flatMap { Int32(exactly: $0) }
        self.init(
            event: event, hash: try reader.hash("hash"),
            execution: value["execution"]?.text.map { Name($0) }, attempt: attempt,
            verdict: value["verdict"]?.text.flatMap { Verdict(rawValue: $0) }, late: value["late"]?.bool ?? false,
            supersededBy: try value["superseded_by"].map { value throws(ResponseError) in try ExecutionIdentity(value)
            },
            duplicateOf: try reader.sequenceIfPresent("duplicate_of"))
    }

    private static func body(
        _ type: EventType, _ reader: ResponseReader, _ inferred: [String]
    ) throws(ResponseError) -> EventBody {
        func reference() throws(ResponseError) -> ExecutionReference {
            ExecutionReference(
                task: Name(try reader.text("task")),
                execution: inferred.contains("execution") ? nil : reader.value["execution"]?.text.map { Name($0) },
                attempt: inferred.contains("attempt")
                    ? nil : try reader.integerIfPresent("attempt").flatMap { Int32(exactly: $0) })
        }
        switch type {
        case .jobCreated:
            return .jobCreated(
                JobDescription(
                    name: Name(try reader.text("name")), key: reader.value["key"]?.text.map { Name($0) },
                    tags: reader.tags("tags")))
        case .executionStarted:
            return .executionStarted(try reference())
        case .progress:
            return .progress(
                ProgressReport(
                    reference: try reference(), report: try reader.integerIfPresent("report"),
                    label: reader.value["label"]?.text.map { Name($0) }, total: try reader.integerIfPresent("total"),
                    done: try reader.integerIfPresent("done"), carried: try reader.integerIfPresent("carried"),
                    unit: reader.value["unit"]?.text.map { Name($0) },
                    part: reader.value["part"]?.text.map { Name($0) }))
        case .executionFinished:
            guard let outcome = ExecutionOutcome(rawValue: try reader.text("outcome")) else {
                throw ResponseError(field: "outcome")
            }
            return .executionFinished(try reference(), outcome)
        case .jobFinished:
            guard let outcome = JobOutcome(rawValue: try reader.text("outcome")) else {
                throw ResponseError(field: "outcome")
            }
            return .jobFinished(outcome)
        }
    }
}
