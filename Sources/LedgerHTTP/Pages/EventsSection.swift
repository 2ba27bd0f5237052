internal import Ledger
internal import LedgerStore

/// The events of a job up to the moment that is shown, newest first.
struct EventsSection {
    let page: EventPage
    let filter: EventFilter
    /// The sequence that the page shows; nil for the present.
    let moment: Int64?
    let link: PageLink

    var html: HTML {
        let fresh = link.without("before", "type", "verdict", "task", "label")
        let isFirst = link.parameters.contains { $0.name == "before" } == false
        let older = page.nextAfter.map { after in
            HTML("<a rel=\"next\" href=\"\(link.with("before", String(after)).text)#events\">Older</a>")
        }
        return """
            <section id="events"><h2>Events</h2><form class="filters" action="\(link.path)#events">\(fresh.hiddenFields)\
            \(PageParts.select("Type", "type", EventType.allCases.map(\.name), filter.type?.name))\
            \(PageParts.select("Verdict", "verdict", Verdict.allCases.map(\.rawValue), filter.verdict?.rawValue))\
            <label>Task <input name="task" value="\(filter.task ?? "")" maxlength="200"></label><button>Show</button></form>
            <div class="wide" tabindex="0" role="region" aria-label="Events"><table><thead><tr><th scope="col" class="number">Event</th>\
            <th scope="col">Time (UTC)</th><th scope="col">Type</th><th scope="col">Task</th><th scope="col">Execution</th>\
            <th scope="col">Change</th>\(hasReporters ? "<th scope=\"col\">Reporter</th>" as HTML : "")<th scope="col">Verdict</th>\
            </tr></thead><tbody>\(page.events.map(row))\
            \(page.events.isEmpty ? "<tr class=\"empty\"><td colspan=\"7\">No events.</td></tr>" as HTML : "")</tbody></table></div>
            <nav class="pages" aria-label="Pages of events">\(isFirst ? nil : HTML("<a href=\"\(link.without("before").text)#events\">Newest</a>"))\(older)</nav></section>
            """
    }

    /// Whether an event on the page has a reporter.
    private var hasReporters: Bool { page.events.contains { $0.event.reporter != nil } }

    private func row(_ entry: ExplainedEvent) -> HTML {
        let event = entry.event
        let (kind, words) = verdict(entry)
        let moment = link.without("before", "cursor").with("at_sequence", String(event.sequence)).text
        return """
            <tr data-key="\(event.sequence)" data-verdict="\(kind)"><td class="number"><a href="\(moment)" title="Show the job as of this event">\(PageText.number(event.sequence))</a></td>\
            <td>\(PageText.time(event.recordedAt))</td><td>\(event.body.type.name.split(separator: "_").joined(separator: " "))</td>\
            <td>\(event.body.reference.map { HTML.name($0.task) })</td><td>\(execution(entry))</td>\
            <td>\(change(event.body)) \(PageParts.message(event.message))\(PageParts.link(event.link))</td>\(hasReporters ? HTML("<td>\(event.reporter.map { HTML.name($0) })</td>") : nil)<td class="verdict">\(words)</td></tr>
            """
    }

    private func execution(_ entry: ExplainedEvent) -> HTML? {
        guard entry.event.body.reference != nil else { return nil }
        let attempt = entry.attempt.map { HTML("<small>#\($0)</small> ") }
        return "\(attempt)\(entry.execution.map { HTML.name($0) })"
    }

    private func change(_ body: EventBody) -> HTML {
        switch body {
        case .jobCreated(let description): HTML.name(description.name)
        case .executionStarted: ""
        case .executionFinished(_, let outcome): "\(outcome.rawValue)"
        case .jobFinished(let outcome): "\(outcome.rawValue)"
        case .progress(let progress):
            """
            <span class="reported">\(HTML.label(progress.label)) \
            \(PageText.change(
                done: Int128(progress.done ?? 0), total: Int128(progress.total ?? 0),
                carried: Int128(progress.carried ?? 0), unit: progress.unit))</span>
            """
        }
    }

    /// The verdict as of the moment that is shown.
    ///
    /// An event that was superseded after that moment is shown as counted.
    private func verdict(_ entry: ExplainedEvent) -> (kind: String, words: HTML) {
        guard let verdict = entry.verdict else { return ("pending", "pending") }
        switch verdict {
        case .superseded:
            guard let by = entry.supersededBy else { return ("superseded", "superseded") }
            if let moment, by.id.sequence > moment, !entry.late { return ("counted", "counted") }
            return entry.late
                ? ("late", "late <small>superseded by \(PageText.execution(by))</small>")
                : ("superseded", "superseded <small>by \(PageText.execution(by))</small>")
        case .duplicate, .conflict:
            let of = entry.duplicateOf.map { HTML(" <small>of event \(PageText.number($0))</small>") }
            return (verdict.rawValue, "\(verdict.rawValue)\(of)")
        case .overLimit: return (verdict.rawValue, "over limit")
        case .counted: return (verdict.rawValue, "counted")
        }
    }
}
