internal import Ledger
internal import LedgerStore

/// Reads the parts of a job's page and assembles them.
///
/// A page of the past shows all parts as of one event; a page of the present shows each as of its read.
struct JobPageBuilder: Sendable {
    let service: any LedgerService
    let request: RouteRequest

    private static let tasksOnPage = 50
    private static let eventsOnPage = 50
    private static let entriesOnPage = 100
    private static let chartPoints = 300
    /// The maximum number of events for which a chart is drawn without a request.
    ///
    /// Drawing it then takes a twentieth of a second.
    private static let eventsDrawnAtOnce: Int64 = 50_000

    func response() async throws -> LedgerResponse {
        let job = try request.job()
        let query = try request.parameters()
        let parameters = PageParameters(query)
        let link = parameters.link(
            "../jobs/\(job)",
            [
                "at_sequence", "at", "indicator", "from", "state", "silent", "cursor", "type", "verdict", "task",
                "before",
            ],
            keepingEmpty: "indicator")
        guard let now = try await service.job(job) else { throw HTTPProblem.noSuchJob(job.description) }
        let moment = try await PointInTimeQuery(service: service, job: job).moment(query)
        var view = now
        if let moment {
            guard let then = try await service.job(job, at: moment, counting: .last) else {
                throw HTTPProblem.noSuchJob(job.description)
            }
            view = then
        }
        let label = try parameters.exactly("indicator")
        let page = JobPage(
            view: view, moment: moment == nil ? nil : view.snapshot.sequence,
            selected: label.map { EventFilter.Indicator(label: $0.text.isEmpty ? nil : $0) }, link: link, now: .now)
        guard let part = parameters["part"] else {
            var whole = page.page(try await sections(page, parameters))
            whole.hasLogin = request.hasLogin
            whole.version = .current
            return whole.response()
        }
        return Page.html(try await piece(part, page, parameters))
    }

    private func sections(_ page: JobPage, _ parameters: PageParameters) async throws -> [HTML] {
        var sections = [page.head]
        sections.append(try await stalls(page))
        sections.append(try await moments(page, parameters))
        sections.append(page.indicators)
        sections.append(try await explanation(page, parameters))
        sections.append(try await chart(page, parameters))
        sections.append(try await tasks(page, parameters))
        sections.append(try await events(page, parameters))
        return sections
    }

    private func piece(_ part: String, _ page: JobPage, _ parameters: PageParameters) async throws -> HTML {
        switch part {
        case "all": HTML(try await sections(page, parameters))
        case "chart": try await chart(page, parameters)
        case "chain": page.chain(try await service.verify(page.view.id, Verification.Range()))
        case "stalls": try await stalls(page)
        case "tasks": try await tasks(page, parameters)
        case "events": try await events(page, parameters)
        case "explanation": try await explanation(page, parameters)
        default:
            throw HTTPProblem.invalid(
                parameter: "part", "must be one of all, chart, chain, stalls, tasks, events, explanation")
        }
    }

    private func moments(_ page: JobPage, _ parameters: PageParameters) async throws -> HTML {
        guard parameters["verify"] != nil else { return page.moments(nil) }
        return page.moments(try await service.verify(page.view.id, Verification.Range()))
    }

    private func chart(_ page: JobPage, _ parameters: PageParameters) async throws -> HTML {
        // Without a choice by the viewer, the chart shows the indicator that is being worked on.
        let indicators = page.snapshot.indicators
        let isOpen = { (indicator: Snapshot.Indicator) in indicator.counted.done < indicator.counted.total }
        let current =
            indicators.first { isOpen($0) && $0.counted.done > 0 } ?? indicators.first(where: isOpen) ?? indicators.last
        guard let indicator = page.selected ?? current.map({ EventFilter.Indicator(label: $0.label) }) else {
            return "<section id=\"chart\" hidden></section>"
        }
        return try await chart(of: indicator.label, page, parameters)
    }

    private func chart(of label: Name?, _ page: JobPage, _ parameters: PageParameters) async throws -> HTML {
        var section = ChartSection(label: label, history: nil, moment: page.moment, link: page.link)
        guard page.view.ledgerSequence <= Self.eventsDrawnAtOnce || parameters["draw"] != nil else {
            return section.html
        }
        switch try await service.history(page.view.id, label, points: Self.chartPoints) {
        case .found(let history):
            section = ChartSection(
                label: label, history: history, moment: page.moment, link: page.link, estimate: page.view.estimate)
        case .noSuchJob: throw HTTPProblem.noSuchJob(page.view.id.description)
        case .noSuchIndicator:
            section = ChartSection(
                label: label, history: IndicatorHistory(label: label, sequence: 0, points: []), moment: page.moment,
                link: page.link)
        }
        return section.html
    }

    private func stalls(_ page: JobPage) async throws -> HTML {
        var tasks: [TaskSummary] = []
        if page.view.stalls?.silentCount ?? 0 > 0 {
            let limit = StallsSection.namesMax
            let found =
                if let moment = page.moment {
                    try await service.tasks(
                        page.view.id, at: .sequence(moment), state: nil, onlySilent: true, limit: limit, after: nil)
                } else {
                    try await service.tasks(page.view.id, state: nil, onlySilent: true, limit: limit, after: nil)
                }
            tasks = found?.tasks ?? []
        }
        return StallsSection(view: page.view, tasks: tasks, now: page.shownAt, link: page.link).html
    }

    private func tasks(_ page: JobPage, _ parameters: PageParameters) async throws -> HTML {
        let state = try parameters.choice("state", TaskState.self)
        let onlySilent = try parameters.flag("silent")
        let cursor = try parameters.integer("cursor", in: 1...Int64.max).map { TaskID($0) }
        let (job, limit) = (page.view.id, Self.tasksOnPage)
        let tasks =
            if let moment = page.moment {
                try await service.tasks(
                    job, at: .sequence(moment), state: state, onlySilent: onlySilent, limit: limit, after: cursor)
            } else {
                try await service.tasks(job, state: state, onlySilent: onlySilent, limit: limit, after: cursor)
            }
        guard let tasks else { throw HTTPProblem.noSuchJob(job.description) }
        return TasksSection(page: tasks, state: state, onlySilent: onlySilent, now: page.shownAt, link: page.link).html
    }

    private func events(_ page: JobPage, _ parameters: PageParameters) async throws -> HTML {
        var filter = EventFilter(order: .descending, task: try parameters.name("task"))
        filter.verdict = try parameters.choice("verdict", Verdict.self)
        if let name = parameters["type"] {
            guard let type = EventType(name: name) else {
                throw HTTPProblem.invalid(parameter: "type", "is not an event type")
            }
            filter.type = type
        }
        let before = try parameters.integer("before", in: 1...Int64.max)
        let events = try await service.events(
            page.view.id, filter, after: before ?? page.moment.map { $0 + 1 }, limit: Self.eventsOnPage)
        guard let events else { throw HTTPProblem.noSuchJob(page.view.id.description) }
        return EventsSection(page: events, filter: filter, moment: page.moment, link: page.link).html
    }

    private func explanation(_ page: JobPage, _ parameters: PageParameters) async throws -> HTML {
        guard let selected = page.selected else { return "<section id=\"explanation\" hidden></section>" }
        var cursor: Explanation.Cursor?
        if let text = parameters["from"] {
            guard let position = Explanation.Cursor(text) else {
                throw HTTPProblem.invalid(parameter: "from", "is not from a link of this page")
            }
            cursor = position
        }
        let outcome = try await service.explain(
            page.view.id, selected.label, at: page.moment.map { .sequence($0) }, counting: .last,
            limit: Self.entriesOnPage, after: cursor)
        switch outcome {
        case .found(let explanation): return ExplanationSection(explanation: explanation, link: page.link).html
        case .noSuchJob: throw HTTPProblem.noSuchJob(page.view.id.description)
        case .noSuchIndicator:
            return
                "<section id=\"explanation\"><p class=\"empty\">No event up to this moment names this indicator.</p></section>"
        }
    }
}
