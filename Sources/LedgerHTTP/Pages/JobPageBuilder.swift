internal import HTTPTypes
internal import Ledger
internal import LedgerStore

/// Reads and assembles the parts of the page of a job, or of one of its tasks.
///
/// A page of the past shows all parts as of one event; a page of the present shows each as of its read.
struct JobPageBuilder: Sendable {
    let service: any LedgerService
    let request: RouteRequest

    static let tasksOnPage = 50
    static let eventsOnPage = 50
    static let entriesOnPage = 100
    /// The maximum number of events for which a chart is drawn without a request.
    ///
    /// Drawing it then takes a twentieth of a second.
    private static let eventsDrawnAtOnce: EventSequence = 50_000

    /// The parameters that links of the page keep.
    private static let parameters =
        ["at_sequence", "at", "chart"] + ExplanationSection.parameters + TasksSection.parameters
        + EventsSection.parameters

    func response() async throws -> LedgerResponse {
        let job = try request.job()
        let query = try request.parameters()
        let parameters = PageParameters(query)
        let link = parameters.link("../jobs/\(job)", Self.parameters, keepingEmpty: ["indicator", "chart"])
        let (view, present, moment) = try await read(job, query)
        let label = try parameters.exactly("indicator")
        let page = JobPage(
            view: view, moment: moment,
            selected: label.map { EventFilter.Indicator(label: $0.text.isEmpty ? nil : $0) }, link: link,
            links: JobLinks(root: .ofJob, job: job, moment: moment), now: .now)
        let parts = Parts(builder: self, page: page, parameters: parameters, present: present)
        guard let part = parameters["part"] else {
            return whole(page.page(try await parts.all))
        }
        return switch try parameters.choice("as", ExportFormat.self) {
        case nil: Page.html(try await parts.piece(part))
        case .csv: try await parts.csv(part).response("\(job)-\(part)")
        case .json: try await parts.json(part)
        }
    }

    /// The formats in which a part can be saved.
    private enum ExportFormat: String, CaseIterable {
        case csv
        case json
    }

    /// Returns the response with the page of one task.
    func taskResponse() async throws -> LedgerResponse {
        let job = try request.job()
        let query = try request.parameters()
        let parameters = PageParameters(query)
        guard let name = try parameters.name("name") else {
            throw HTTPProblem.invalid(parameter: "name", "must be the name of a task")
        }
        let (view, _, moment) = try await read(job, query)
        let filter = TaskFilter(name: name)
        let tasks = try await service.tasks(job, filter, at: moment.map { .sequence($0) }, limit: 1, after: nil)
        guard let tasks, let task = tasks.tasks.first else { throw HTTPProblem.noSuchTask(name, of: job) }
        let page = OneTaskPage(
            view: view, task: task, tasks: tasks,
            link: parameters.link(
                "../../jobs/\(job)/task", ["name", "at_sequence", "at", "type", "verdict", "before"]),
            links: JobLinks(root: .ofTask, job: job, moment: moment), now: .now)
        func events() async throws -> EventsSection {
            var section = try await self.events(page.link, page.links, of: view, parameters, of: name)
            section.isOfTask = true
            return section
        }
        guard let part = parameters["part"] else { return whole(page.page(events: try await events().html)) }
        let format = try parameters.choice("as", ExportFormat.self)
        guard format != .json else { throw HTTPProblem.noJSON(of: part) }
        let isCSV = format == .csv
        switch part {
        case "head": return Page.html(page.head)
        case "tasks": return isCSV ? page.executions.csv.response("\(job)-task") : Page.html(page.executions.html)
        case "events":
            let section = try await events()
            return isCSV ? section.csv.response("\(job)-task-events") : Page.html(section.html)
        default: throw HTTPProblem.invalid(parameter: "part", "must be one of head, tasks, events")
        }
    }

    private func whole(_ page: Page) -> LedgerResponse {
        var page = page
        page.hasLogin = request.hasLogin
        page.version = .current
        return page.response()
    }

    /// Reads the job as of the moment of the page, and at present.
    ///
    /// - Returns: Also the sequence that the page shows; nil for the present.
    private func read(
        _ job: JobID, _ query: QueryParameters
    ) async throws -> (view: JobView, present: JobView, moment: EventSequence?) {
        guard let present = try await service.job(job) else { throw HTTPProblem.noSuchJob(job.description) }
        guard let moment = try await PointInTimeQuery(service: service, job: job).moment(query) else {
            return (present, present, nil)
        }
        guard let then = try await service.job(job, at: moment, counting: .last) else {
            throw HTTPProblem.noSuchJob(job.description)
        }
        return (then, present, then.snapshot.sequence)
    }

    /// Reads the events that a page shows.
    ///
    /// - Parameter task: The only task; nil for that of the filter.
    fileprivate func events(
        _ link: PageLink, _ links: JobLinks, of view: JobView, _ parameters: PageParameters, of task: Name? = nil
    ) async throws -> EventsSection {
        let job = view.id
        var filter = EventFilter(order: .descending)
        filter.task = try task ?? parameters.name("task")
        filter.verdict = try parameters.choice("verdict", Verdict.self)
        if let name = parameters["type"] {
            guard let type = EventType(name: name) else {
                throw HTTPProblem.invalid(parameter: "type", "is not an event type")
            }
            filter.type = type
        }
        let before = try parameters.sequence("before", from: 1)
        let events = try await service.events(
            job, filter, after: before ?? links.moment.map { $0 + 1 }, limit: Self.eventsOnPage)
        guard let events else { throw HTTPProblem.noSuchJob(job.description) }
        return EventsSection(
            page: events, filter: filter, units: view.snapshot.units,
            now: links.moment == nil ? .now : view.snapshot.updatedAt ?? view.createdAt, links: links, link: link)
    }

    /// The parts of a job's page.
    private struct Parts {
        let builder: JobPageBuilder
        let page: JobPage
        let parameters: PageParameters
        /// The job at present.
        let present: JobView

        private var service: any LedgerService { builder.service }
        private var job: JobID { page.view.id }
        private var moment: PointInTime? { page.moment.map { .sequence($0) } }

        /// The parts, in the order in which an operator needs them.
        ///
        /// The problem and its cause come first.
        var all: [HTML] {
            get async throws {
                [
                    page.head, try await stalls, try await failures, page.facts, page.indicators, try await explanation,
                    try await chart.html, try await timeline.html, try await tasks.html, try await moments,
                    try await events.html,
                ]
            }
        }

        func piece(_ part: String) async throws -> HTML {
            switch part {
            case "all": HTML(try await all)
            case "chart": try await chart.html
            case "timeline": try await timeline.html
            case "chain": page.chain(try await service.verify(job, Verification.Range()))
            case "stalls": try await stalls
            case "failures": try await failures
            case "tasks": try await tasks.html
            case "events": try await events.html
            case "explanation": try await explanation
            default:
                throw HTTPProblem.invalid(
                    parameter: "part",
                    "must be one of all, chart, timeline, chain, stalls, failures, tasks, events, explanation")
            }
        }

        func csv(_ part: String) async throws -> CSVText {
            switch part {
            case "chart": return try await chart.csv
            case "timeline": return try await timeline.csv
            case "tasks": return try await tasks.csv
            case "events": return try await events.csv
            case "explanation":
                if let selected = page.selected, case .found(let section) = try await explained(selected) {
                    return section.csv
                }
                return CSVText(["task"])
            default:
                throw HTTPProblem.invalid(
                    parameter: "part", "must be one of chart, timeline, tasks, events, explanation")
            }
        }

        /// The data of a part for which the API has no route.
        func json(_ part: String) async throws -> LedgerResponse {
            guard part == "timeline" else { throw HTTPProblem.noJSON(of: part) }
            return try await timeline.json
        }

        private var moments: HTML {
            get async throws {
                let isRequested = parameters["verify"] != nil
                return page.moments(isRequested ? try await service.verify(job, Verification.Range()) : nil)
            }
        }

        private var chart: ChartSection {
            get async throws {
                let chosen = try parameters.exactly("chart").map {
                    EventFilter.Indicator(label: $0.text.isEmpty ? nil : $0)
                }
                // Without a choice by the viewer, the chart shows the indicator that is being worked on.
                let indicator = chosen ?? page.selected ?? page.current.map { EventFilter.Indicator(label: $0.label) }
                let label = indicator?.label
                var history: IndicatorHistory?
                let isDrawn = page.view.ledgerSequence <= JobPageBuilder.eventsDrawnAtOnce || parameters["draw"] != nil
                if indicator == nil {
                    history = IndicatorHistory(label: nil, sequence: 0, points: [])
                } else if isDrawn {
                    switch try await service.history(job, label, points: ChartSection.pointsMax) {
                    case .found(let found): history = found
                    case .noSuchJob: throw HTTPProblem.noSuchJob(job.description)
                    case .noSuchIndicator: history = IndicatorHistory(label: label, sequence: 0, points: [])
                    }
                }
                return ChartSection(
                    label: label, choices: page.snapshot.indicators.map(\.label), history: history,
                    eventCount: page.view.ledgerSequence.number, unit: unit(of: label), moment: page.moment,
                    present: present.snapshot.finishedAt ?? .now, links: page.links, link: page.link,
                    estimate: page.view.estimate)
            }
        }

        private func unit(of label: Name?) -> Name? {
            page.snapshot.indicators.first { $0.label == label }?.unit
        }

        private var timeline: TimelineSection {
            get async throws {
                let snapshot = page.snapshot
                var section = TimelineSection(
                    timeline: nil, jobState: snapshot.state, taskCount: snapshot.tasks.total,
                    executionCount: snapshot.tasks.executions, link: page.link)
                let isDrawn =
                    snapshot.tasks.executions <= TimelineSection.executionsDrawnAtOnce || parameters["draw"] != nil
                guard section.isShown, isDrawn, let start = snapshot.startedAt else { return section }
                let end = snapshot.state == .running ? page.shownAt : snapshot.updatedAt ?? page.shownAt
                section.timeline = try await service.timeline(
                    job, ExecutionTimeline(from: start, to: end, intervals: TimelineSection.intervals), at: moment)
                return section
            }
        }

        private var stalls: HTML {
            get async throws {
                var tasks: [TaskSummary] = []
                if page.view.stalls?.silentCount ?? 0 > 0 {
                    let filter = TaskFilter(onlySilent: true)
                    let limit = StallsSection.namesMax
                    tasks = try await service.tasks(job, filter, at: moment, limit: limit, after: nil)?.tasks ?? []
                }
                return StallsSection(
                    view: page.view, tasks: tasks, now: page.shownAt, links: page.links, link: page.link
                ).html
            }
        }

        private var failures: HTML {
            get async throws {
                let count = page.snapshot.tasks.failed
                var tasks: [TaskSummary] = []
                if count > 0 {
                    let filter = TaskFilter(state: .failed, order: .newest)
                    let limit = FailuresSection.tasksMax
                    tasks = try await service.tasks(job, filter, at: moment, limit: limit, after: nil)?.tasks ?? []
                }
                return FailuresSection(
                    count: count, tasks: tasks, now: page.shownAt, links: page.links, link: page.link
                ).html
            }
        }

        private var tasks: TasksSection {
            get async throws {
                let taskCount = page.snapshot.tasks.total
                let order = TasksSection.defaultOrder(taskCount: taskCount)
                let filter = TaskFilter(
                    state: try parameters.choice("state", TaskState.self), onlySilent: try parameters.flag("silent"),
                    search: try parameters.name("find"),
                    order: try parameters.choice("order", TaskOrder.self) ?? order)
                let cursor = try parameters.sequence("cursor", from: 1).map { TaskID($0) }
                let found = try await service.tasks(
                    job, filter, at: moment, limit: JobPageBuilder.tasksOnPage, after: cursor)
                guard let found else { throw HTTPProblem.noSuchJob(job.description) }
                return TasksSection(
                    page: found, filter: filter, jobState: page.snapshot.state, taskCount: taskCount,
                    units: page.snapshot.units, now: page.shownAt, links: page.links, link: page.link)
            }
        }

        private var events: EventsSection {
            get async throws { try await builder.events(page.link, page.links, of: page.view, parameters) }
        }

        /// The result of explaining an indicator.
        private enum Explained {
            case found(ExplanationSection)
            case notNamed
        }

        /// Explains an indicator by the executions that do not count.
        ///
        /// Or by all executions, if the viewer asks for them.
        private func explained(_ selected: EventFilter.Indicator) async throws -> Explained {
            var cursor: Explanation.Cursor?
            if let text = parameters["from"] {
                guard let position = Explanation.Cursor(text) else {
                    throw HTTPProblem.invalid(parameter: "from", "is not from a link of this page")
                }
                cursor = position
            }
            let showsAll = try parameters.choice("executions", Executions.self) != nil
            let result = try await service.explain(
                job, selected.label, at: moment, counting: .last, onlyUncounted: !showsAll,
                limit: JobPageBuilder.entriesOnPage, after: cursor)
            switch result {
            case .found(let explanation):
                return .found(
                    ExplanationSection(
                        explanation: explanation, onlyUncounted: !showsAll, unit: explanation.indicator.unit,
                        links: page.links, link: page.link))
            case .noSuchJob: throw HTTPProblem.noSuchJob(job.description)
            case .noSuchIndicator: return .notNamed
            }
        }

        /// The executions of an explanation.
        private enum Executions: String, CaseIterable {
            case all
        }

        private var explanation: HTML {
            get async throws {
                guard let selected = page.selected else { return "<section id=\"explanation\" hidden></section>" }
                switch try await explained(selected) {
                case .found(let section): return section.html
                case .notNamed:
                    return
                        "<section id=\"explanation\"><p class=\"empty\">No event up to this moment names this indicator.</p></section>"
                }
            }
        }
    }
}

extension Snapshot {
    /// The units of the indicators that have one, by label.
    var units: [Name?: Name] {
        indicators.reduce(into: [:]) { units, indicator in
            if let unit = indicator.unit { units[indicator.label] = unit }
        }
    }
}

extension HTTPProblem {
    /// The API has the data of other parts.
    fileprivate static func noJSON(of part: String) -> HTTPProblem {
        .invalid(parameter: "as", "can be json only for the part timeline, not for \(part)")
    }

    fileprivate static func noSuchTask(_ name: Name, of job: JobID) -> HTTPProblem {
        HTTPProblem(.notFound, "No such task", "The job \(job) has no task \(name.quotation) at this moment.")
    }
}
