public import Ledger

extension JobView {
    /// Writes the view as a JSON object, with its own ``now``.
    public func write(to writer: inout JSONWriter) {
        write(to: &writer, now: now)
    }

    /// Writes the view as a JSON object.
    ///
    /// - Parameter now: The server's clock; nil writes none.
    public func write(to writer: inout JSONWriter, now: Timestamp?) {
        writer.object { writer in
            // This field is the first one, so that ``setNow(_:in:from:)`` can find it.
            if let now { writer.field("now", RFC3339.text(now)) }
            writer.field("job", id.description)
            writer.field("key", description.key?.text)
            writer.field("name", description.name.text)
            writer.name("tags")
            writer.object { writer in
                for (name, value) in description.sortedTags { writer.field(name.text, value.text) }
            }
            writer.field("state", snapshot.state.rawValue)
            writer.field("percent", snapshot.percent)
            writer.field("sequence", snapshot.sequence)
            writer.field("ledger_sequence", ledgerSequence)
            writer.field("created_at", RFC3339.text(createdAt))
            writer.field("started_at", snapshot.startedAt.map(RFC3339.text))
            writer.field("updated_at", snapshot.updatedAt.map(RFC3339.text))
            writer.field("finished_at", snapshot.finishedAt.map(RFC3339.text))
            writer.field("idle_since", snapshot.idleSince.map(RFC3339.text))
            writer.field("message", snapshot.message?.text)
            if isRetired { writer.field("retired", true) }
            writer.name("tasks")
            snapshot.tasks.write(to: &writer, silent: stalls?.silentCount)
            writer.name("estimate")
            if let estimate { estimate.write(to: &writer) } else { writer.null() }
            writer.field("stalled_since", stalls?.since.map(RFC3339.text))
            writer.name("progress")
            writer.array(snapshot.indicators) { writer, indicator in
                Self.write(
                    to: &writer, indicator, estimate?.paces[indicator.label], stalledSince: stalls?.since(indicator))
            }
        }
    }

    private static let nowField = Array("{\"now\":\"".utf8)

    /// Replaces the value of `now` in the output of ``write(to:now:)``.
    ///
    /// Therefore a stored response need not be encoded again.
    ///
    /// - Parameter start: The index at which the object begins.
    public static func setNow(_ now: Timestamp, in bytes: inout [UInt8], from start: Int = 0) {
        let index = start + nowField.count
        guard bytes.count >= index + RFC3339.textLength, bytes[start..<index].elementsEqual(nowField) else { return }
        RFC3339.write(now, over: &bytes, at: index)
    }

    private static func write(
        to writer: inout JSONWriter, _ indicator: Snapshot.Indicator, _ pace: IndicatorPace?,
        stalledSince: Timestamp?
    ) {
        writer.object { writer in
            writer.field("label", indicator.label?.text)
            writer.field("unit", indicator.unit?.text)
            writer.field("done", indicator.counted.done)
            writer.field("total", indicator.counted.total)
            writer.field("percent", indicator.percent)
            writer.field("attempted_done", indicator.attempted.done)
            writer.field("attempted_total", indicator.attempted.total)
            writer.field("wasted_done", indicator.wasted.done)
            writer.field("wasted_total", indicator.wasted.total)
            writer.field("carried_done", indicator.carried)
            writer.field("updated_at", RFC3339.text(indicator.updatedAt))
            writer.field("rate", pace?.rate.roundedRate)
            writer.field("remaining_seconds", pace?.remainingSeconds?.roundedSeconds)
            writer.field("stalled_since", stalledSince.map(RFC3339.text))
            writer.field("message", indicator.message?.text)
        }
    }

    /// Parses the output of ``write(to:now:)``; ignores unknown fields.
    ///
    /// `now` is nil from a server of an earlier version.
    public init(_ value: JSONValue) throws(ResponseError) {
        let reader = ResponseReader(value)
        var tags: [Name: Name] = [:]
        if case .object(let fields) = value["tags"] {
            for field in fields { if let text = field.value.text { tags[Name(field.name)] = Name(text) } }
        }
        guard let state = JobState(rawValue: try reader.text("state")) else { throw ResponseError(field: "state") }
        var indicators: [Snapshot.Indicator] = []
        var stalls = JobStalls(since: try reader.timestampIfPresent("stalled_since"))
        var estimate = try JobEstimate(value["estimate"] ?? .null)
        for element in value["progress"]?.elements ?? [] {
            let indicator = try Self.indicator(element)
            if let rate = element["rate"]?.number {
                estimate?.paces[indicator.label] = IndicatorPace(
                    rate: rate, remainingSeconds: element["remaining_seconds"]?.number)
            }
            indicators.append(indicator)
            if let since = try ResponseReader(element).timestampIfPresent("stalled_since") {
                stalls.indicators[indicator.label] = since
            }
        }
        let silent = value["tasks"]?["silent"]
        if silent != nil { stalls.silentCount = try ResponseReader(value["tasks"] ?? .null).integer("silent") }
        let createdAt = try reader.timestamp("created_at")
        self.init(
            id: try reader.job("job"),
            description: JobDescription(
                name: Name(try reader.text("name")), key: value["key"]?.text.map { Name($0) }, tags: tags),
            createdAt: createdAt, ledgerSequence: try reader.sequence("ledger_sequence"),
            snapshot: Snapshot(
                sequence: try reader.sequence("sequence"), state: state, createdAt: createdAt,
                startedAt: try reader.timestampIfPresent("started_at"),
                updatedAt: try reader.timestampIfPresent("updated_at"),
                finishedAt: try reader.timestampIfPresent("finished_at"),
                tasks: try TaskCounts(value["tasks"] ?? .null),
                message: value["message"]?.text.map { Name($0) },
                indicators: indicators),
            isRetired: value["retired"]?.bool ?? false, estimate: estimate,
            // A server of an earlier version does not send this field.
            stalls: silent == nil ? nil : stalls,
            now: try reader.timestampIfPresent("now"))
    }

    private static func indicator(_ value: JSONValue) throws(ResponseError) -> Snapshot.Indicator {
        let reader = ResponseReader(value)
        return Snapshot.Indicator(
            label: value["label"]?.text.map { Name($0) },
            counted: Units(total: try reader.big("total"), done: try reader.big("done")),
            attempted: Units(total: try reader.big("attempted_total"), done: try reader.big("attempted_done")),
            // A server of an earlier version does not send this field.
            carried: value["carried_done"] == nil ? 0 : try reader.big("carried_done"),
            updatedAt: try reader.timestamp("updated_at"), unit: value["unit"]?.text.map { Name($0) },
            message: value["message"]?.text.map { Name($0) })
    }
}
