public import Ledger

extension NotificationCause {
    /// Writes the fields that identify the cause.
    public func writeFields(to writer: inout JSONWriter) {
        writer.field("kind", kind.name)
        if case .percent(let threshold) = kind { writer.field("threshold", threshold) }
        switch origin {
        case .event(let sequence): writer.field("sequence", sequence)
        case .moment(let moment): writer.field("since", RFC3339.text(moment))
        }
        writer.field("at", RFC3339.text(at))
    }
}

extension Delivery {
    /// Writes the delivery.
    public func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.field("id", id)
            writer.field("subscription", subscription.text)
            writer.field("job", cause.job?.description)
            writer.name("cause")
            writer.object { cause.writeFields(to: &$0) }
            writer.field("state", state.rawValue)
            writer.field("attempts", Int64(attempts))
            writer.field("created_at", RFC3339.text(createdAt))
            writer.field("attempted_at", attemptedAt.map(RFC3339.text))
            writer.field("next_at", nextAt.map(RFC3339.text))
            writer.field("ended_at", endedAt.map(RFC3339.text))
            writer.field("response_status", responseStatus.map { Int64($0) })
            writer.field("error", error)
        }
    }

    /// Parses the output of ``write(to:)``; ignores unknown fields.
    public init(_ value: JSONValue) throws(ResponseError) {
        let reader = ResponseReader(value)
        guard let subscription = Subscription.ID(try reader.text("subscription")) else {
            throw ResponseError(field: "subscription")
        }
        guard let state = State(rawValue: try reader.text("state")) else { throw ResponseError(field: "state") }
        let cause = ResponseReader(value["cause"] ?? .null)
        var text = try cause.text("kind")
        if let threshold = try cause.integerIfPresent("threshold") { text += ":\(threshold)" }
        guard let kind = NotificationKind(text) else { throw ResponseError(field: "kind") }
        let origin: NotificationCause.Origin =
            if let sequence = try cause.sequenceIfPresent("sequence") {
                .event(sequence)
            } else {
                .moment(try cause.timestamp("since"))
            }
        self.init(
            id: try reader.text("id"), subscription: subscription,
            cause: NotificationCause(
                job: try reader.jobIfPresent("job"), kind: kind, origin: origin, at: try cause.timestamp("at")),
            createdAt: try reader.timestamp("created_at"), state: state,
            attempts: Int(try reader.integer("attempts")), nextAt: try reader.timestampIfPresent("next_at"),
            attemptedAt: try reader.timestampIfPresent("attempted_at"),
            endedAt: try reader.timestampIfPresent("ended_at"),
            responseStatus: try reader.integerIfPresent("response_status").map { Int($0) },
            error: value["error"]?.text)
    }
}
