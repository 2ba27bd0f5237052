internal import Ledger

extension JobEstimate {
    /// Writes the estimate as a JSON object.
    func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("at", RFC3339.text(at))
            writer.name("remaining_seconds")
            Self.write(estimate.remaining, to: &writer) { writer, seconds in writer.number(seconds.roundedSeconds) }
            writer.name("finish_at")
            Self.write(estimate.remaining, to: &writer) { writer, seconds in
                writer.string(RFC3339.text(finish(after: seconds)))
            }
            writer.field("basis", estimate.remaining == nil ? nil : estimate.basis.rawValue)
            writer.name("waiting_for")
            if let waitingFor = estimate.waitingFor {
                writer.object { writer in
                    writer.field("label", waitingFor.label?.text)
                    writer.name("tasks")
                    writer.array(waitingTasks) { $0.string($1.text) }
                }
            } else {
                writer.null()
            }
            writer.name("track_record")
            if let trackRecord {
                writer.object { writer in
                    writer.field("jobs", trackRecord.jobs)
                    writer.field("ended_inside", trackRecord.endedInside)
                }
            } else {
                writer.null()
            }
            writer.field("reason", estimate.reason?.rawValue)
        }
    }

    private static func write(
        _ remaining: Estimate.Remaining?, to writer: inout JSONWriter,
        _ value: (inout JSONWriter, Double) -> Void
    ) {
        guard let remaining else { return writer.null() }
        writer.object { writer in
            for (name, seconds) in [("p10", remaining.p10), ("p50", remaining.p50), ("p90", remaining.p90)] {
                writer.name(name)
                value(&writer, seconds)
            }
        }
    }

    /// Parses the output of ``write(to:)``.
    ///
    /// Nil for null, and from a server of an earlier version.
    init?(_ value: JSONValue) throws(ResponseError) {
        guard case .object = value else { return nil }
        let reader = ResponseReader(value)
        let reason = value["reason"]?.text.flatMap { Estimate.Reason(rawValue: $0) }
        let basis = value["basis"]?.text.flatMap { Estimate.Basis(rawValue: $0) }
        let waiting = value["waiting_for"]
        var trackRecord: TrackRecord?
        if case .object = value["track_record"] {
            let record = ResponseReader(value["track_record"] ?? .null)
            trackRecord = TrackRecord(
                jobs: try record.integer("jobs"), endedInside: try record.integer("ended_inside"))
        }
        self.init(
            Estimate(
                remaining: try Self.remaining(value["remaining_seconds"] ?? .null), basis: basis ?? .job,
                waitingFor: waiting?["tasks"] == nil
                    ? nil : Estimate.WaitingFor(label: waiting?["label"]?.text.map { Name($0) }, executions: []),
                reason: reason),
            at: try reader.timestamp("at"),
            waitingTasks: (waiting?["tasks"]?.elements ?? []).compactMap { $0.text.map { Name($0) } },
            trackRecord: trackRecord)
    }

    static func remaining(_ value: JSONValue) throws(ResponseError) -> Estimate.Remaining? {
        guard case .object = value else { return nil }
        let reader = ResponseReader(value)
        return Estimate.Remaining(
            p10: try reader.number("p10"), p50: try reader.number("p50"), p90: try reader.number("p90"))
    }
}

extension Double {
    /// These seconds, rounded to milliseconds: more digits would be noise.
    var roundedSeconds: Double {
        self < 1e12 ? (self * 1_000).rounded() / 1_000 : rounded()
    }

    /// This rate, rounded to at least six significant digits: a unit may take days.
    var roundedRate: Double {
        var factor = 1_000.0
        while self * factor < 1e5, factor < 1e15 { factor *= 10 }
        return self * factor < 1e15 ? (self * factor).rounded() / factor : self
    }
}

extension ResponseReader {
    /// The number of a field, with or without a fraction.
    func number(_ field: String) throws(ResponseError) -> Double {
        guard let number = value[field]?.number else { throw ResponseError(field: field) }
        return number
    }
}
