internal import Ledger
internal import LedgerStore

/// The events of a job up to the moment that is shown, newest first.
struct EventsSection {
    let page: EventPage
    let filter: EventFilter
    /// The units of indicators, by label.
    let units: [Name?: Name]
    /// The time that the page shows.
    let now: Timestamp
    let links: JobLinks
    let link: PageLink
    /// Whether it shows the events of one task, on the page of the task.
    var isOfTask = false

    /// The parameters of the page that this section reads.
    static let parameters = ["type", "verdict", "task", "before"]

    /// The sequence that the page shows; nil for the present.
    private var moment: EventSequence? { links.moment }

    var html: HTML {
        let fresh = link.without("before", "type", "verdict", "task", "label")
        let isFirst = link.parameters.contains { $0.name == "before" } == false
        let older = page.nextAfter.map { after in
            HTML("<a rel=\"next\" href=\"\(link.with("before", after.description).text)#events\">Older</a>")
        }
        return """
            <section id="events"><div class="heading"><h2>Events</h2>\(exports)</div><form class="filters" action="\(link.path)#events">\(fresh.hiddenFields)\
            \(PageParts.select("Type", "type", EventType.allCases.map(\.name), filter.type?.name))\
            \(PageParts.select("Verdict", "verdict", Verdict.allCases.map(\.rawValue), filter.verdict?.rawValue))\
            \(isOfTask ? nil : HTML("<label>Task <input name=\"task\" value=\"\(filter.task ?? "")\" maxlength=\"200\"></label>"))<button>Show</button></form>
            <div class="wide" tabindex="0" role="region" aria-label="Events"><table class="stacked events"><thead><tr><th scope="col" class="number">Event</th>\
            <th scope="col">Time</th><th scope="col">Type</th><th scope="col">Task</th><th scope="col">Execution</th>\
            <th scope="col">Change</th>\(hasReporters ? "<th scope=\"col\">Reporter</th>" as HTML : "")<th scope="col">Verdict</th>\
            </tr></thead><tbody>\(page.events.map(row))\
            \(page.events.isEmpty ? "<tr class=\"empty\"><td colspan=\"7\">No events.</td></tr>" as HTML : "")</tbody></table></div>
            <nav class="pages" aria-label="Pages of events">\(isFirst ? nil : HTML("<a href=\"\(link.without("before").text)#events\">Newest</a>"))\(older)</nav></section>
            """
    }

    private var exports: HTML {
        let before = link.parameters.first { $0.name == "before" }?.value
        let json = links.api(
            "events",
            [
                ("order", "desc"), ("limit", String(JobPageBuilder.eventsOnPage)),
                ("after", before ?? moment.map { ($0 + 1).description }), ("type", filter.type?.name),
                ("verdict", filter.verdict?.rawValue), ("task", filter.task?.text),
            ])
        return PageParts.exports(csv: link.with("part", "events").with("as", "csv").text, json: json)
    }

    /// The events of the table.
    var csv: CSVText {
        var text = CSVText([
            "sequence", "recorded_at", "at", "type", "task", "execution", "attempt", "report", "label", "total", "done",
            "carried", "unit", "part", "outcome", "verdict", "message", "link", "reporter",
        ])
        for entry in page.events {
            let event = entry.event
            let report: ProgressReport? = if case .progress(let report) = event.body { report } else { nil }
            let outcome: String? =
                switch event.body {
                case .executionFinished(_, let outcome): outcome.rawValue
                case .jobFinished(let outcome): outcome.rawValue
                case .jobCreated, .executionStarted, .progress: nil
                }
            text.append([
                event.sequence.description, CSVText.time(event.recordedAt), CSVText.time(event.at),
                event.body.type.name,
                event.body.reference?.task.text, entry.execution?.text, entry.attempt.map { String($0) },
                report?.report.map { String($0) }, report?.label?.text, report?.total.map { String($0) },
                report?.done.map { String($0) }, report?.carried.map { String($0) }, report?.unit?.text,
                report?.part?.text, outcome, verdict(entry).kind, event.message?.text, event.link?.text,
                event.reporter?.text,
            ])
        }
        return text
    }

    /// Whether an event on the page has a reporter.
    private var hasReporters: Bool { page.events.contains { $0.event.reporter != nil } }

    private func row(_ entry: ExplainedEvent) -> HTML {
        let event = entry.event
        let (kind, words) = verdict(entry)
        let moment = link.without("before", "cursor").with("at_sequence", event.sequence.description).text
        return """
            <tr data-key="\(event.sequence)" data-verdict="\(kind)"><td class="number"><a href="\(moment)" title="Show the job as of this event">\(PageText.number(event.sequence))</a></td>\
            <td>\(PageTime.second(event.recordedAt, near: now))</td><td>\(event.body.type.name.split(separator: "_").joined(separator: " "))</td>\
            <td>\(task(event))</td><td>\(execution(entry))</td>\
            <td>\(change(event.body)) \(PageParts.message(event.message))\(PageParts.link(event.link))</td>\(hasReporters ? HTML("<td>\(event.reporter.map { HTML.name($0) })</td>") : nil)<td class="verdict">\(words)</td></tr>
            """
    }

    private func task(_ event: Event) -> HTML? {
        event.body.reference.map { reference in
            isOfTask
                ? HTML.name(reference.task)
                : "<a href=\"\(links.task(reference.task))\">\(HTML.name(reference.task))</a>"
        }
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
                carried: Int128(progress.carried ?? 0), unit: progress.unit ?? units[progress.label]))</span>
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
