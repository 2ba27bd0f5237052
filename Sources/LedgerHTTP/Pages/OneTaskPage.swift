internal import Ledger
internal import LedgerStore
internal import LedgerWire

/// The page of one task: its executions and its events.
struct OneTaskPage {
    /// The job, as of the moment that is shown.
    let view: JobView
    let task: TaskSummary
    /// A page with the task alone.
    let tasks: TaskPage
    /// This page's own address.
    let link: PageLink
    let links: JobLinks
    let now: Timestamp

    /// The time that ages are relative to: the present, or the past moment.
    private var shownAt: Timestamp { links.moment == nil ? now : view.snapshot.updatedAt ?? view.createdAt }

    func page(events: HTML) -> Page {
        Page(
            root: .ofTask,
            title:
                "\(PageText.visible(task.name.text)) – \(PageText.visible(view.description.name.text)) – progress ledger",
            icon: Icon.link(view.snapshot, from: .ofTask), script: "task.js",
            body: """
                <header class="top"><nav aria-label="Breadcrumb"><a href="../../">Jobs</a> \
                <a href="\(links.page.text)">\(HTML.name(view.description.name))</a></nav>\(PageParts.connection)</header>
                <main id="task" data-job="\(view.id.description)" data-moment="\(links.moment.map(String.init) ?? "")" \
                data-sequence="\(view.snapshot.sequence)" data-updated="\(view.snapshot.updatedAt.map(RFC3339.text) ?? "")" \
                data-now="\(RFC3339.text(now))">
                \(head)\(executions.html)\(events)</main>
                """)
    }

    var head: HTML {
        let last = task.executions.last
        let isRunning = view.snapshot.state == .running && task.state == .running
        let took =
            last.map { PageText.duration(microseconds: $0.lastAt.microseconds - $0.startedAt.microseconds) } ?? ""
        let duration: HTML =
            isRunning
            ? PageParts.age("", "age", since: last?.startedAt, now: shownAt) : "<small class=\"age\">\(took)</small>"
        let attempt = last.map { HTML("<span>attempt \($0.attempt)</span>") }
        let silence = PageParts.silence("silent", since: last?.silentSince, now: shownAt)
        let past: HTML? =
            links.moment == nil
            ? nil
            : "<p class=\"estimate\">As of event \(PageText.number(view.snapshot.sequence)) · <a href=\"\(link.without("at_sequence", "at", "before").text)\">Back to now</a></p>"
        return """
            <section id="head" data-state="\(task.state.rawValue)"><h1>\(HTML.name(task.name))</h1>
            <p class="figures"><span class="state" data-outcome="\(task.state.rawValue)">\(task.state.rawValue)</span>\(attempt)\(duration)\(silence)</p>
            <p class="newest">\(PageParts.message(last?.message)) \(PageParts.link(last?.link))</p>\(past)
            <p class="facts"><span>\(PageText.number(task.executionCount)) \(task.executionCount == 1 ? "execution" : "executions")</span>\
            <span>started \(PageTime.stated(task.executions.first?.startedAt, near: shownAt))</span>\
            <span class="copies">\(PageParts.copy("Copy link", nil))\(PageParts.copy("Copy name", task.name.text))</span></p></section>
            """
    }

    var executions: TasksSection {
        TasksSection(
            page: tasks, filter: TaskFilter(name: task.name), jobState: view.snapshot.state, taskCount: 1,
            units: view.snapshot.units, now: shownAt, links: links, link: link, isOfTask: true)
    }
}
