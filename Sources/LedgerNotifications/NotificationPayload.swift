internal import Ledger
internal import LedgerWire

/// The body of a message.
struct NotificationPayload {
    let subscription: Subscription
    let cause: NotificationCause
    /// The job at the time of the attempt; nil for a test.
    let job: JobView?
    let now: Timestamp

    /// The maximum number of indicators in a message.
    private static let indicatorsMax = 100

    /// The JSON in the format of the subscription.
    var bytes: [UInt8] {
        var writer = JSONWriter()
        writer.object { writer in
            switch subscription.format {
            case .slack:
                writer.field("text", Self.escapedForSlack(text))
            case .standard:
                writer.field("type", cause.kind.name)
                writer.field("timestamp", RFC3339.text(cause.at))
                writer.field("text", text)
                writer.name("cause")
                writer.object { cause.writeFields(to: &$0) }
                writer.name("job")
                if let job { Self.shortened(job).write(to: &writer, now: now) } else { writer.null() }
            }
        }
        return writer.bytes
    }

    private static func shortened(_ job: JobView) -> JobView {
        var job = job
        job.snapshot.indicators = Array(job.snapshot.indicators.prefix(indicatorsMax))
        return job
    }

    /// Escapes the characters by which Slack recognises links and mentions.
    private static func escapedForSlack(_ text: String) -> String {
        text.reduce(into: "") { escaped, character in
            switch character {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            default: escaped.append(character)
            }
        }
    }

    /// One line for people.
    var text: String {
        guard let job else { return "This is a test of the subscription \(Self.visible(subscription.name))." }
        let name = Self.visible(job.description.name)
        let percent = job.snapshot.percent.map { "\($0) %" }
        switch cause.kind {
        case .started: return "\(name) has started."
        case .finished, .failed, .canceled: return end(of: name, job, percent)
        case .reopened: return "\(name) is running again after it had ended."
        case .stalled: return "\(name) has stopped advancing\(percent.map { " at \($0)" } ?? "")."
        case .advancing: return "\(name) advances again."
        case .decreased: return "\(name): completed units no longer count, because their task was started again."
        case .percent(let threshold): return "\(name) has reached \(threshold) %."
        case .late: return late(name, job)
        case .test: return "This is a test of the subscription \(Self.visible(subscription.name))."
        }
    }

    private func end(of name: String, _ job: JobView, _ percent: String?) -> String {
        // The job may have been reopened since.
        let kind = NotificationKind(ending: job.snapshot.state) ?? cause.kind
        let at = percent.map { " at \($0)" } ?? ""
        let end =
            switch kind {
            case .failed: "\(name) has failed\(at)."
            case .canceled: "\(name) was canceled\(at)."
            default: "\(name) has finished."
            }
        return job.snapshot.state == .running ? end + " It is running again." : end
    }

    private func late(_ name: String, _ job: JobView) -> String {
        let rest = RemainingText.text(job.estimate, now: now).map { " Remaining: \($0)." } ?? ""
        if let deadline = job.description.deadline {
            let limit = "its deadline, \(RFC3339.text(deadline).prefix(19))Z"
            return deadline <= now
                ? "\(name) has missed \(limit).\(rest)" : "\(name) will probably miss \(limit).\(rest)"
        }
        return "\(name) will probably take much longer than usual.\(rest)"
    }

    /// A name without control and format characters.
    ///
    /// They could change the text around it.
    private static func visible(_ name: Name) -> String {
        String(
            String.UnicodeScalarView(
                name.text.unicodeScalars.map { scalar in
                    [.control, .format].contains(scalar.properties.generalCategory) ? "\u{FFFD}" : scalar
                }))
    }
}
