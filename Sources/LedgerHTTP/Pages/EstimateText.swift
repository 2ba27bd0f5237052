internal import Ledger
internal import LedgerWire

/// The words of an estimate on the pages.
enum EstimateText {
    /// The remaining time with its interval, and the time of the end.
    ///
    /// Empty without a prediction.
    static func remaining(_ estimate: JobEstimate?, now: Timestamp) -> HTML {
        guard let estimate, let remaining = estimate.estimate.remaining,
            let words = RemainingText.text(estimate, now: now)
        else { return "" }
        let finish = estimate.finish(after: remaining.p50)
        return """
            <span class="left">\(words) left</span> <span class="end">until \(PageTime.stated(finish, near: now))</span>
            """
    }

    /// The awaited work and the track record, or the reason for no prediction.
    ///
    /// `Files/text.js` has the same words.
    static func grounds(_ estimate: JobEstimate?) -> HTML {
        guard let estimate else { return "" }
        guard estimate.estimate.remaining != nil else {
            return estimate.estimate.reason.flatMap { words($0) }.map { HTML("no estimate: \($0)") } ?? ""
        }
        var parts: [HTML] = []
        if let waiting = estimate.estimate.waitingFor {
            let tasks = estimate.waitingTasks.map { HTML.name($0) }
            parts.append(
                "waits for \(HTML.label(waiting.label))\(tasks.isEmpty ? nil : HTML(": \(joined(tasks))"))")
        }
        if let record = estimate.trackRecord, record.jobs > 0 {
            parts.append(
                """
                of \(PageText.number(record.jobs)) earlier \(record.jobs == 1 ? "job" : "jobs"), \
                \(PageText.number(record.endedInside)) ended inside the interval
                """)
        }
        return HTML(parts.map { HTML("<span>\($0)</span>") })
    }

    private static func joined(_ names: [HTML]) -> HTML {
        HTML(names.enumerated().map { $0.offset == 0 ? $0.element : HTML(", \($0.element)") })
    }

    /// The reason for no prediction; nil for a job that has ended.
    static func words(_ reason: Estimate.Reason) -> String? {
        switch reason {
        case .finished: nil
        case .totalUnknown: "no units are declared"
        case .noProgress: "nothing is done yet"
        case .allDone: "everything is done, but the job has not been ended"
        case .tooLarge: "the events before an upgrade are too many to be read"
        case .pastUnknown: "the events before an upgrade are still being read"
        }
    }
}
