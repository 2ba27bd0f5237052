internal import Ledger
internal import LedgerStore

/// The executions of a job's tasks, with their reports and whether they count.
struct TasksSection {
    let page: TaskPage
    let filter: TaskFilter
    let jobState: JobState
    /// The number of tasks of the job.
    let taskCount: Int64
    /// The units of indicators, by label.
    let units: [Name?: Name]
    /// The time that ages are relative to.
    let now: Timestamp
    let links: JobLinks
    let link: PageLink
    /// Whether it shows one task, on the page of the task.
    var isOfTask = false

    /// The parameters of the page that this section reads.
    static let parameters = ["state", "silent", "find", "order", "cursor"]

    private var isRunning: Bool { jobState == .running }

    /// The order without a choice by the viewer.
    ///
    /// Of many tasks, the first ones are of least interest while the job is running.
    static func defaultOrder(taskCount: Int64) -> TaskOrder {
        taskCount > Int64(JobPageBuilder.tasksOnPage) ? .newest : .started
    }

    var html: HTML {
        let first = link.without("cursor")
        let next = page.nextCursor.map { cursor in
            HTML("<a rel=\"next\" href=\"\(link.with("cursor", cursor.sequence.description).text)#tasks\">Next</a>")
        }
        let isFirst = link.parameters.contains { $0.name == "cursor" } == false
        let timeline = TimelineFigure(tasks: page.tasks, isRunning: isRunning, now: now, links: links).html
        return """
            <section id="tasks"><div class="heading"><h2>Executions</h2>\(exports)</div>\(isOfTask ? nil : form(first))\(timeline)
            <div class="wide" tabindex="0" role="region" aria-label="Executions"><table class="stacked executions"><thead><tr>\
            \(header("Task", .name))\(header("Execution", .attempts))\(header("State", .longest))<th scope="col">Counts</th>\
            <th scope="col">Reported</th>\(header("Last event", .quietest))\
            \(header("Events", filter.order == .started ? .newest : .started, isNumber: true))</tr></thead><tbody>\(page.tasks.map(rows))\
            \(page.tasks.isEmpty ? "<tr class=\"empty\"><td colspan=\"7\">\(empty)</td></tr>" as HTML : "")</tbody></table></div>
            \(isOfTask ? nil : HTML("<nav class=\"pages\" aria-label=\"Pages of tasks\">\(isFirst ? nil : HTML("<a href=\"\(first.text)#tasks\">First</a>"))\(next)\(cut)</nav>"))</section>
            """
    }

    /// The remark that an order shows only the first tasks.
    private var cut: HTML? {
        guard !filter.order.isPaged, !isOfTask, taskCount > Int64(page.tasks.count), !page.tasks.isEmpty else {
            return nil
        }
        return "<span>The first \(PageText.number(page.tasks.count)) in this order.</span>"
    }

    private var empty: String {
        filter.state == nil && filter.search == nil && !filter.onlySilent ? "No tasks." : "No task matches."
    }

    private func form(_ first: PageLink) -> HTML {
        """
        <form class="filters" action="\(link.path)#tasks">\(first.without("state", "silent", "find").hiddenFields)\
        <label>Name <input type="search" name="find" value="\(filter.search ?? "")" maxlength="200" placeholder="part of the name"></label>\
        \(PageParts.select("State", "state", TaskState.allCases.map(\.rawValue), filter.state?.rawValue))\
        <label><input type="checkbox" name="silent" value="true"\(filter.onlySilent ? " checked" as HTML : "")> only silent</label>\
        <button>Show</button></form>
        """
    }

    /// The header of a column by which tasks can be sorted.
    ///
    /// A second click returns to the order without a choice; that of the order of start reverses it.
    private func header(_ title: String, _ order: TaskOrder, isNumber: Bool = false) -> HTML {
        let kind: HTML = isNumber ? " class=\"number\"" : ""
        if isOfTask { return "<th scope=\"col\"\(kind)>\(title)</th>" }
        let isByStart = order == .started || order == .newest
        let isChosen = filter.order == order || isByStart && filter.order.isPaged
        let isAscending = isByStart ? filter.order == .started : order == .name || order == .quietest
        let sort: HTML? = isChosen ? HTML(" aria-sort=\"\(isAscending ? "ascending" : "descending")\"") : nil
        let unchosen = Self.defaultOrder(taskCount: taskCount)
        let next = isChosen && !isByStart ? unchosen : order
        let address = link.without("cursor").with("order", next == unchosen ? nil : next.rawValue).text
        return
            "<th scope=\"col\"\(kind)\(sort)><a href=\"\(address)#tasks\" title=\"\(Self.words(order))\">\(title)</a></th>"
    }

    private static func words(_ order: TaskOrder) -> String {
        switch order {
        case .started: "Sort by start"
        case .newest: "Sort by start, the last one first"
        case .name: "Sort by name"
        case .attempts: "Sort by the number of executions, most first"
        case .longest: "Sort by duration, longest first"
        case .quietest: "Sort by the last event, the running tasks with the oldest one first"
        }
    }

    private var exports: HTML {
        let json = links.apiAtMoment(
            "tasks",
            [
                ("limit", String(JobPageBuilder.tasksOnPage)), ("state", filter.state?.rawValue),
                ("silent", filter.onlySilent ? "true" : nil), ("task", filter.name?.text),
                ("search", filter.search?.text), ("order", filter.order == .started ? nil : filter.order.rawValue),
                ("cursor", link.parameters.first { $0.name == "cursor" }?.value),
            ])
        return PageParts.exports(csv: link.with("part", "tasks").with("as", "csv").text, json: json)
    }

    /// The executions of one task, the last one first.
    private func rows(_ task: TaskSummary) -> HTML {
        let more = task.executionCount - Int64(task.executions.count)
        let rows = task.executions.reversed().enumerated().map { index, execution in
            let name: HTML? =
                index == 0
                ? """
                <th scope="rowgroup" data-key="task" rowspan="\(task.executions.count)">\(taskName(task))\
                \(more > 0 ? HTML("<small>and \(PageText.number(more)) earlier</small>") : "")</th>
                """ : nil
            return row(execution, of: task, name)
        }
        return HTML(rows)
    }

    private func taskName(_ task: TaskSummary) -> HTML {
        isOfTask ? HTML.name(task.name) : "<a href=\"\(links.task(task.name))\">\(HTML.name(task.name))</a>"
    }

    private func row(_ execution: ExecutionSummary, of task: TaskSummary, _ name: HTML?) -> HTML {
        let counts = counts(execution, of: task)
        let progress = execution.progress.prefix(8).map { entry in
            HTML(
                "<span class=\"reported\">\(HTML.label(entry.label)) \(PageText.change(done: entry.units.done, total: entry.units.total, unit: units[entry.label]))</span>"
            )
        }
        let reporter = execution.reporter.map { HTML("<small class=\"reporter\">by \(HTML.name($0))</small>") }
        let rest = execution.progress.count - progress.count
        let last: HTML? =
            execution.lastSequence == execution.id.sequence ? nil : "–\(PageText.number(execution.lastSequence))"
        return """
            <tr data-key="\(execution.id.sequence)" data-counts="\(counts.kind)">\(name)\
            <td><span class="attempt">#\(execution.attempt)</span> \(execution.name.map { HTML.name($0) } ?? "<i>unnamed</i>")\(reporter)</td>\
            <td>\(state(execution, of: task))</td>\
            <td class="counts">\(counts.words)</td><td>\(progress)\(rest > 0 ? HTML("<small>and \(rest) more</small>") : "")</td>\
            <td>\(PageTime.second(execution.lastAt, near: now))</td>\
            <td class="number">\(PageText.number(execution.id.sequence))\(last)</td></tr>
            """
    }

    /// The state of an execution and its duration: `running 28 min, silent 28 min`.
    private func state(_ execution: ExecutionSummary, of task: TaskSummary) -> HTML {
        // An execution that was superseded before it ended is not running, even if its worker still reports.
        let outcome = execution.outcome?.rawValue ?? (execution.isCounted ? task.state.rawValue : "unfinished")
        let isRunning = isRunning && execution.outcome == nil && execution.isCounted
        let took = PageText.duration(microseconds: execution.lastAt.microseconds - execution.startedAt.microseconds)
        let duration: HTML =
            isRunning
            ? PageParts.age("", "age", since: execution.startedAt, now: now) : "<small class=\"age\">\(took)</small>"
        let silence = execution.silentSince.map { HTML(", \(PageParts.silence("silent", since: $0, now: now))") }
        return """
            <span class="outcome" data-outcome="\(outcome)">\(outcome)</span> \(duration)\(silence) \
            \(PageParts.message(execution.message))\(PageParts.link(execution.link))
            """
    }

    private func counts(_ execution: ExecutionSummary, of task: TaskSummary) -> (kind: String, words: HTML) {
        if let supersession = task.supersession(of: execution) {
            return supersession.isLate
                ? ("late", "late <small>superseded by \(PageText.execution(supersession.by))</small>")
                : ("superseded", "superseded <small>by \(PageText.execution(supersession.by))</small>")
        }
        return execution.isProvisional
            ? ("provisional", "counted <small>until retried</small>") : ("counted", "counted")
    }

    /// The executions of the table, one in a row.
    var csv: CSVText {
        var text = CSVText([
            "task", "task_state", "execution", "attempt", "outcome", "counted", "started_at", "last_at",
            "silent_since", "first_sequence", "last_sequence", "message", "link", "reporter",
        ])
        for task in page.tasks {
            for execution in task.executions.reversed() {
                text.append([
                    task.name.text, task.state.rawValue, execution.name?.text, String(execution.attempt),
                    execution.outcome?.rawValue, execution.isCounted ? "true" : "false",
                    CSVText.time(execution.startedAt), CSVText.time(execution.lastAt),
                    CSVText.time(execution.silentSince), execution.id.sequence.description,
                    execution.lastSequence.description,
                    execution.message?.text, execution.link?.text, execution.reporter?.text,
                ])
            }
        }
        return text
    }
}
