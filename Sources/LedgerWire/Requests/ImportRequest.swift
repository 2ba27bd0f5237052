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

extension RecordedEvent {
    /// Writes the event as it was recorded.
    public func write(to writer: inout JSONWriter) {
        let reference = event.body.reference
        ExplainedEvent(event: event, hash: hash, execution: reference?.execution, attempt: reference?.attempt)
            .writeRecorded(to: &writer)
    }

    /// Reads what ``write(to:)`` writes, and nothing else: what the hash does not cover has no place in an export.
    ///
    /// - Throws: ``ResponseError`` naming the field that is missing, cannot be read, or was added.
    public init(_ value: JSONValue) throws(ResponseError) {
        let explained = try ExplainedEvent(value)
        self.init(event: explained.event, hash: explained.hash)
        var writer = JSONWriter()
        write(to: &writer)
        guard case .object(let given) = value else { throw ResponseError(field: "sequence") }
        let same: JSONValue
        do { same = try JSONReader.read(writer.bytes) } catch { throw ResponseError(field: "type") }
        guard given.count == Self.fieldCount(same) else {
            throw ResponseError(field: given.first { same[$0.name] == nil }?.name ?? "type")
        }
        for field in given where same[field.name] != field.value { throw ResponseError(field: field.name) }
    }

    private static func fieldCount(_ value: JSONValue) -> Int {
        guard case .object(let fields) = value else { return 0 }
        return fields.count
    }
}

/// Reads the body of an import.
public enum ImportRequest {
    /// Reads an excerpt: the line that says what it is, and some events one after the other.
    public static func excerpt(_ body: [UInt8]) throws(RequestError) -> LedgerExcerpt {
        var excerpt: LedgerExcerpt?
        var problems = ProblemList()
        var number = 0
        var rest = body[...]
        while !rest.isEmpty {
            let line = rest.prefix { $0 != 0x0A }
            rest = rest[line.endIndex...].dropFirst()
            guard !line.isEmpty else { continue }
            number += 1
            let value: JSONValue
            do throws(JSONError) {
                var reader = JSONReader(line, valuesMax: EventRequest.valuesMax)
                value = try reader.readWhole()
            } catch {
                throw .unreadable("line \(number) is no JSON: \(error)")
            }
            guard excerpt != nil else {
                excerpt = try header(value)
                continue
            }
            guard number - 1 <= Limits.eventsPerAppendMax else { throw .tooManyEvents }
            if let event = event(value, "/\(number - 2)", &problems) { excerpt?.events.append(event) }
            guard !problems.isFull else { break }
        }
        guard problems.isEmpty else { throw .invalid(problems.problems) }
        guard let excerpt, !excerpt.events.isEmpty else {
            throw .invalid([
                RequestProblem(pointer: "", detail: "holds no event: a line that says what it is, then events")
            ])
        }
        return excerpt
    }

    private static func header(_ value: JSONValue) throws(RequestError) -> LedgerExcerpt {
        do { return try LedgerExcerpt(header: value) } catch {
            throw .invalid([
                RequestProblem(
                    pointer: "/\(error.field)",
                    detail: "is missing or cannot be read: the first line of an export says what it is")
            ])
        }
    }

    private static func event(
        _ value: JSONValue, _ place: String, _ problems: inout ProblemList
    ) -> RecordedEvent? {
        do throws(ResponseError) {
            let recorded = try RecordedEvent(value)
            let wrong = EventDraft(recorded.event.body, at: recorded.event.at).problems()
            for problem in wrong { problems.add("\(place)/\(problem.field)", problem.detail) }
            return wrong.isEmpty ? recorded : nil
        } catch {
            problems.add("\(place)/\(error.field)", "is missing or cannot be read")
            return nil
        }
    }
}
