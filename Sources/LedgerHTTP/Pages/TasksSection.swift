internal import Ledger
internal import LedgerStore

/// The executions of a job's tasks, with their reports and whether they count.
struct TasksSection {
    let page: TaskPage
    let state: TaskState?
    /// Whether only tasks with a silent execution are shown.
    let onlySilent: Bool
    /// The time that ages are relative to.
    let now: Timestamp
    let link: PageLink

    var html: HTML {
        let first = link.without("cursor")
        let next = page.nextCursor.map { cursor in
            HTML("<a rel=\"next\" href=\"\(link.with("cursor", String(cursor.sequence)).text)#tasks\">Next</a>")
        }
        let isFirst = link.parameters.contains { $0.name == "cursor" } == false
        return """
            <section id="tasks"><h2>Executions</h2><form class="filters" action="\(link.path)#tasks">\
            \(first.without("state", "silent").hiddenFields)\(PageParts.select("Tasks", "state", TaskState.allCases.map(\.rawValue), state?.rawValue))\
            <label><input type="checkbox" name="silent" value="true"\(onlySilent ? " checked" as HTML : "")> only silent</label>\
            <button>Show</button></form>
            <div class="wide" tabindex="0" role="region" aria-label="Executions"><table><thead><tr><th scope="col">Task</th><th scope="col">Execution</th>\
            <th scope="col" class="number">Attempt</th><th scope="col">Outcome</th><th scope="col">Counts</th>\
            <th scope="col">Reported</th><th scope="col" class="number">Took</th>\
            <th scope="col" class="number">Events</th></tr></thead><tbody>\(page.tasks.map(rows))\
            \(page.tasks.isEmpty ? "<tr class=\"empty\"><td colspan=\"8\">No tasks.</td></tr>" as HTML : "")</tbody></table></div>
            <nav class="pages" aria-label="Pages of tasks">\(isFirst ? nil : HTML("<a href=\"\(first.text)#tasks\">First</a>"))\(next)</nav></section>
            """
    }

    /// The executions of one task, the last one first.
    private func rows(_ task: TaskSummary) -> HTML {
        let more = task.executionCount - Int64(task.executions.count)
        let rows = task.executions.reversed().enumerated().map { index, execution in
            let name: HTML? =
                index == 0
                ? """
                <th scope="rowgroup" data-key="task" rowspan="\(task.executions.count)">\(HTML.name(task.name))\
                \(more > 0 ? HTML("<small>and \(PageText.number(more)) earlier</small>") : "")</th>
                """ : nil
            return row(execution, of: task, name)
        }
        return HTML(rows)
    }

    private func row(_ execution: ExecutionSummary, of task: TaskSummary, _ name: HTML?) -> HTML {
        let supersession = task.supersession(of: execution)
        let counts: (kind: String, words: HTML) =
            if let supersession {
                (
                    supersession.isLate ? "late" : "superseded",
                    supersession.isLate
                        ? "late <small>superseded by \(PageText.execution(supersession.by))</small>"
                        : "superseded <small>by \(PageText.execution(supersession.by))</small>"
                )
            } else if execution.isProvisional {
                ("provisional", "counted <small>until retried</small>")
            } else {
                ("counted", "counted")
            }
        let progress = execution.progress.prefix(8).map { entry in
            HTML(
                "<span class=\"reported\">\(HTML.label(entry.label)) \(PageText.change(done: entry.units.done, total: entry.units.total))</span>"
            )
        }
        // An execution that was superseded before it ended is not running, even if its worker still reports.
        let outcome = execution.outcome?.rawValue ?? (execution.isCounted ? task.state.rawValue : "unfinished")
        let silence: HTML? = execution.silentSince.map { PageParts.silence("no report for", since: $0, now: now) }
        let reporter = execution.reporter.map { HTML("<small class=\"reporter\">by \(HTML.name($0))</small>") }
        let rest = execution.progress.count - progress.count
        let took = execution.lastAt.microseconds - execution.startedAt.microseconds
        return """
            <tr data-key="\(execution.id.sequence)" data-counts="\(counts.kind)">\(name)<td>\(execution.name.map { HTML.name($0) } ?? "<i>unnamed</i>")\
            \(reporter)</td>\
            <td class="number">\(execution.attempt)</td>\
            <td><span class="outcome" data-outcome="\(outcome)">\(outcome)</span> \(silence)\
            \(PageParts.message(execution.message))\(PageParts.link(execution.link))</td>\
            <td class="counts">\(counts.words)</td><td>\(progress)\(rest > 0 ? HTML("<small>and \(rest) more</small>") : "")</td>\
            <td class="number">\(PageText.duration(microseconds: took))</td>\
            <td class="number">\(PageText.number(execution.id.sequence))–\(PageText.number(execution.lastSequence))</td></tr>
            """
    }
}
