public import Ledger

/// Parsers for request bodies.
///
/// They report all errors of a body at once, each with its location.
public enum EventRequest {
    /// The format of a body with events.
    public enum Format: Sendable {
        /// An object, or an array of objects.
        case json
        /// NDJSON: one object per line; empty lines are skipped.
        case lines
    }

    /// A parsed event.
    struct Entry {
        /// The job that the event names, in a body with events of many jobs.
        var job: JobID?
        var draft: EventDraft
    }

    /// The location of an event in a body.
    public enum Location: Sendable, Hashable {
        /// The event is the whole body.
        case whole
        /// The event is an element of the body, counted from 0.
        case element(Int)

        /// The JSON pointer (RFC 6901) of its object.
        public var pointer: String {
            switch self {
            case .whole: ""
            case .element(let index): "/\(index)"
            }
        }
    }

    /// Parses the events of one job.
    public static func drafts(_ body: [UInt8], _ format: Format) throws(RequestError) -> [EventDraft] {
        var drafts: [EventDraft] = []
        try read(body, format, namesJob: false) { entry, _ in drafts.append(entry.draft) }
        return drafts
    }

    /// Parses events of many jobs, each with its `job`, and returns their locations.
    public static func entries(
        _ body: [UInt8], _ format: Format
    ) throws(RequestError) -> [(job: JobID, draft: EventDraft, location: Location)] {
        var entries: [(job: JobID, draft: EventDraft, location: Location)] = []
        try read(body, format, namesJob: true) { entry, location in
            if let job = entry.job { entries.append((job, entry.draft, location)) }
        }
        return entries
    }

    /// Parses the description of a job to create.
    public static func description(_ body: [UInt8]) throws(RequestError) -> JobDescription {
        var errors = FieldErrorList()
        guard var fields = FieldReader(try value(body), prefix: "", &errors) else {
            throw .invalid(errors.list)
        }
        let name = fields.requiredName("name", &errors)
        let key = fields.name("key", &errors)
        let tags = fields.tags("tags", &errors)
        fields.finish("a job", &errors)
        let description = JobDescription(name: name ?? "", key: key, tags: tags)
        errors.add(description.fieldErrors(), in: "", since: 0)
        guard errors.isEmpty else { throw .invalid(errors.list) }
        return description
    }

    /// Parses the reference of an execution to start, its link, and its condition.
    public static func start(
        _ body: [UInt8]
    ) throws(RequestError) -> (reference: ExecutionReference, link: Name?, unlessCanceled: Bool) {
        var errors = FieldErrorList()
        guard var fields = FieldReader(try value(body), prefix: "", &errors) else {
            throw .invalid(errors.list)
        }
        let reference = reference(&fields, &errors)
        let link = fields.name("link", &errors)
        let unlessCanceled = fields.bool("unless_canceled", &errors) ?? false
        fields.finish("the start of an execution", &errors)
        // The ledger assigns an execution name and an attempt if the caller gives neither, so only the given fields are
        // validated.
        var complete = reference
        if complete.execution == nil, complete.attempt == nil { complete.attempt = 1 }
        errors.add(EventDraft(.executionStarted(complete), link: link).fieldErrors(), in: "", since: 0)
        guard errors.isEmpty else { throw .invalid(errors.list) }
        return (reference, link, unlessCanceled)
    }

    /// Parses the parameters of a replay.
    public static func replay(_ body: [UInt8]) throws(RequestError) -> Replay.Request {
        var errors = FieldErrorList()
        guard var fields = FieldReader(try value(body), prefix: "", &errors) else {
            throw .invalid(errors.list)
        }
        let job = fields.job("job", &errors)
        let policies = CountingPolicy.allCases.map { (name: $0.rawValue, value: $0) }
        let policy = fields.choiceIfPresent("policy", policies, &errors) ?? .last
        let applies = fields.bool("apply", &errors) ?? false
        fields.finish("a replay", &errors)
        if applies, policy != .last {
            errors.add("/apply", "requires the policy last, which is the policy of stored snapshots")
        }
        guard errors.isEmpty else { throw .invalid(errors.list) }
        return Replay.Request(job: job, policy: policy, applies: applies)
    }

    // MARK: One event

    private static let types: [(name: String, value: EventType)] = EventType.allCases
        .filter { $0 != .jobCreated }.map { ($0.name, $0) }

    /// Converts a value to an event; nil, with the errors recorded, if it is invalid.
    static func entry(
        _ value: JSONValue, _ location: Location, namesJob: Bool, _ errors: inout FieldErrorList
    ) -> Entry? {
        let before = errors.count
        let prefix = location.pointer
        guard var fields = FieldReader(value, prefix: prefix, &errors) else { return nil }
        let duplicates = errors.count
        let job = namesJob ? fields.job("job", &errors) : nil
        if namesJob, job == nil, errors.count == duplicates {
            errors.add(fields.pointer("job"), "is missing")
        }
        guard let draft = draft(&fields, prefix, since: before, &errors) else { return nil }
        return Entry(job: job, draft: draft)
    }

    private static func draft(
        _ fields: inout FieldReader, _ prefix: String, since before: Int, _ errors: inout FieldErrorList
    ) -> EventDraft? {
        guard let type = fields.choice("type", types, &errors) else { return nil }
        let at = fields.timestamp("at", &errors)
        let body = body(type, &fields, &errors)
        // Other types have no such field, which is then reported as unknown.
        let message = type == .executionStarted ? nil : fields.name("message", &errors)
        let link = type == .jobFinished ? nil : fields.name("link", &errors)
        fields.finish("an event of type \(type.name)", &errors)
        let draft = EventDraft(body, at: at, message: message, link: link)
        errors.add(draft.fieldErrors(), in: prefix, since: before)
        return errors.count == before ? draft : nil
    }

    /// Converts the fields to an event's body.
    ///
    /// Missing and invalid fields are recorded as errors and replaced by placeholders.
    private static func body(
        _ type: EventType, _ fields: inout FieldReader, _ errors: inout FieldErrorList
    ) -> EventBody {
        switch type {
        case .jobCreated: preconditionFailure("no request may write this event, so its type is not among the choices")
        case .executionStarted:
            return .executionStarted(reference(&fields, &errors))
        case .progress:
            let reference = reference(&fields, &errors)
            return .progress(
                ProgressReport(
                    reference: reference, report: fields.integer("report", in: Limits.reports, &errors),
                    label: fields.name("label", &errors),
                    total: fields.integer("total", in: Limits.increments, &errors),
                    done: fields.integer("done", in: Limits.increments, &errors),
                    carried: fields.integer("carried", in: Limits.increments, &errors),
                    unit: fields.name("unit", &errors), part: fields.name("part", &errors)))
        case .executionFinished:
            let reference = reference(&fields, &errors)
            let outcomes = ExecutionOutcome.allCases.map { (name: $0.rawValue, value: $0) }
            return .executionFinished(reference, fields.choice("outcome", outcomes, &errors) ?? .failed)
        case .jobFinished:
            let outcomes = JobOutcome.allCases.map { (name: $0.rawValue, value: $0) }
            return .jobFinished(fields.choice("outcome", outcomes, &errors) ?? .failed)
        }
    }

    private static func reference(
        _ fields: inout FieldReader, _ errors: inout FieldErrorList
    ) -> ExecutionReference {
        let task = fields.requiredName("task", &errors)
        return ExecutionReference(
            task: task ?? "", execution: fields.name("execution", &errors),
            attempt: fields.integer("attempt", in: Limits.attempts, &errors).map { Int32($0) })
    }

    // MARK: Bodies

    /// The maximum number of values to keep of one event or other object of a request.
    ///
    /// No valid object has a tenth of them. An object with more is always refused because of those that are kept: each
    /// is an unknown field, a repeated field, a tag beyond the limit, or not a text.
    static let valuesMax = 1_000

    static func value(_ body: [UInt8]) throws(RequestError) -> JSONValue {
        do throws(JSONError) {
            var reader = JSONReader(body[...], valuesMax: valuesMax)
            return try reader.readWhole()
        } catch {
            throw .unreadable("the body is not JSON: \(error)")
        }
    }

    private typealias EntryHandler = (consuming Entry, Location) -> Void

    private static func read(
        _ body: [UInt8], _ format: Format, namesJob: Bool, _ handle: EntryHandler
    ) throws(RequestError) {
        var errors = FieldErrorList()
        let count =
            switch format {
            case .json: try readJSON(body, namesJob, &errors, handle)
            case .lines: try readLines(body, namesJob, &errors, handle)
            }
        if count == 0 { errors.add("", "contains no event") }
        guard errors.isEmpty else { throw .invalid(errors.list) }
    }

    private static func readJSON(
        _ body: [UInt8], _ namesJob: Bool, _ errors: inout FieldErrorList, _ handle: EntryHandler
    ) throws(RequestError) -> Int {
        var count = 0
        do throws(JSONError) {
            var reader = JSONReader(body[...], valuesMax: valuesMax)
            if reader.isNext(UInt8(ascii: "[")) {
                try reader.readElements { (reader) throws(JSONError) in
                    defer { count += 1 }
                    // The rest is only validated as JSON: the request is refused in any case.
                    let isKept = count < Limits.eventsPerAppendMax
                    if let entry = reader.readPlainEvent(namesJob: namesJob) {
                        if isKept { handle(entry, .element(count)) }
                        return
                    }
                    let value = try reader.readElement()
                    guard isKept, !errors.isFull,
                        let entry = entry(value, .element(count), namesJob: namesJob, &errors)
                    else {
                        return
                    }
                    handle(entry, .element(count))
                }
            } else {
                var entry = reader.readPlainEvent(namesJob: namesJob)
                if entry == nil {
                    entry = Self.entry(try reader.readValue(), .whole, namesJob: namesJob, &errors)
                }
                if let entry { handle(entry, .whole) }
                count = 1
            }
            try reader.expectEnd()
        } catch {
            throw .unreadable("the body is not JSON: \(error)")
        }
        guard count <= Limits.eventsPerAppendMax else { throw .tooManyEvents }
        return count
    }

    private static func readLines(
        _ body: [UInt8], _ namesJob: Bool, _ errors: inout FieldErrorList, _ handle: EntryHandler
    ) throws(RequestError) -> Int {
        var count = 0
        var number = 0
        var start = body.startIndex
        while start <= body.endIndex {
            number += 1
            if let (entry, next) = plainEvent(inLineAt: start, of: body, namesJob) {
                guard count < Limits.eventsPerAppendMax else { throw .tooManyEvents }
                handle(entry, .element(count))
                count += 1
                start = next
                continue
            }
            let line = body[start...].prefix { $0 != 0x0A }
            start = line.endIndex + 1
            guard line.contains(where: { $0 != 0x20 && $0 != 0x09 && $0 != 0x0D }) else { continue }
            guard count < Limits.eventsPerAppendMax else { throw .tooManyEvents }
            let value = try value(ofLine: line, number)
            if !errors.isFull, let entry = entry(value, .element(count), namesJob: namesJob, &errors) {
                handle(entry, .element(count))
            }
            count += 1
        }
        return count
    }

    /// Reads an event from a line with the fast parser.
    ///
    /// - Returns: The event and the start of the next line; nil if the fast parser does not accept the line.
    private static func plainEvent(inLineAt start: Int, of body: [UInt8], _ namesJob: Bool) -> (Entry, next: Int)? {
        body.withUnsafeBufferPointer { bytes in
            var plain = PlainEventReader(bytes, at: start, namesJob: namesJob, endsAtLine: true)
            guard let entry = plain.read(), plain.takeEndOfLine() else { return nil }
            return (entry, plain.position)
        }
    }

    private static func value(ofLine line: ArraySlice<UInt8>, _ number: Int) throws(RequestError) -> JSONValue {
        do throws(JSONError) {
            var reader = JSONReader(line, valuesMax: valuesMax)
            return try reader.readWhole()
        } catch {
            throw .unreadable("line \(number) is not JSON: \(error)")
        }
    }
}
