internal import Ledger
internal import LedgerStore
internal import LedgerWire

/// The page of all jobs.
struct JobsPage {
    let views: [JobView]
    let filter: JobFilter
    /// The tag in the filter, `NAME=VALUE`.
    let tag: String
    let cursor: JobID?
    let limit: Int
    /// This page's own address.
    let link: PageLink
    let now: Timestamp
    /// Whether the viewer may see the page of notifications.
    var seesNotifications = false

    var page: Page {
        Page(
            root: .ofJobs, title: "Jobs – progress ledger", icon: "./pages/icon.svg", script: "jobs.js",
            body: """
                <header class="top"><h1>Jobs</h1>\(PageParts.connection)</header>
                <main data-now="\(RFC3339.text(now))"><form class="filters" role="search" action="./">
                <label>Search <input type="search" name="search" value="\(filter.search ?? "")" \
                placeholder="name, key or id" maxlength="200"></label>
                \(PageParts.select("State", "state", JobState.allCases.map(\.rawValue), filter.state?.rawValue))
                <label>Tag <input name="tag" value="\(tag)" placeholder="name=value" maxlength="301"></label>
                <button>Show</button></form>
                \(list)\(notifications)</main>
                """)
    }

    private var notifications: HTML? {
        seesNotifications
            ? "<nav aria-label=\"Administration\"><p><a href=\"./notifications\">Notifications</a></p></nav>" : nil
    }

    /// The table of jobs, with links to its other pages.
    ///
    /// `data-watch` is the address of its stream.
    var list: HTML {
        var watch = PageLink("./v1/watch", [("limit", String(limit))])
        if let state = filter.state { watch = watch.with("state", state.rawValue) }
        if let search = filter.search { watch = watch.with("search", search.text) }
        for (name, value) in filter.tags { watch = watch.with("tag.\(name)", value.text) }
        if let cursor { watch = watch.with("cursor", cursor.description) }
        let older = views.count == limit ? views.last?.id.description : nil
        return """
            <section id="list" data-watch="\(watch.text)"><table class="jobs"><caption class="hidden">Jobs, newest first</caption><thead><tr>\
            <th scope="col">Job</th><th scope="col">State</th><th scope="col">Progress</th>\
            <th scope="col" class="number">Tasks</th><th scope="col" class="number">Elapsed</th>\
            <th scope="col">Last event (UTC)</th></tr></thead><tbody>\
            \(views.map(row))\(views.isEmpty ? empty : "")</tbody></table>
            <nav class="pages" aria-label="Pages">\(cursor == nil ? nil : HTML("<a href=\"\(link.without("cursor").text)\">Newest</a>"))\
            \(older.map { HTML("<a rel=\"next\" href=\"\(link.with("cursor", $0).text)\">Older</a>") })</nav></section>
            """
    }

    private var empty: HTML {
        let words: HTML =
            link.parameters.isEmpty
            ? "No jobs yet. <code>progress-ledger demo</code> runs an example." : "No jobs match the filter."
        return "<tr class=\"empty\"><td colspan=\"6\">\(words)</td></tr>"
    }

    /// The number of tags in a row; the page of the job shows all.
    private static let tagsShown = 3

    /// The mark of a job that will probably miss its deadline.
    private func late(_ view: JobView) -> HTML? {
        guard let deadline = view.description.deadline,
            Lateness(view, deadline: deadline, usual: nil, now: now) != nil
        else { return nil }
        return "<small class=\"late\" title=\"deadline \(RFC3339.text(deadline))\">late</small>"
    }

    /// The number of failed tasks in words; empty for none.
    private static func failed(_ count: Int64) -> String { count == 0 ? "" : "\(PageText.number(count)) failed" }

    private func row(_ view: JobView) -> HTML {
        let snapshot = view.snapshot
        let allTags = view.description.sortedTags
        let tags = allTags.prefix(Self.tagsShown).map { name, value in
            HTML(
                "<a class=\"tag\" href=\"\(PageLink("./", [("tag", "\(name)=\(value)")]).text)\">\(HTML.name(name))=\(HTML.name(value))</a>"
            )
        }
        let rest = allTags.count - tags.count
        let more = rest > 0 ? HTML("<small>+\(rest) more</small>") : nil
        let words = snapshot.percent.map { "\($0) percent" } ?? "no units declared"
        return """
            <tr data-job="\(view.id.description)" data-state="\(snapshot.state.rawValue)">\
            <th scope="row"><a href="./jobs/\(view.id.description)">\(HTML.name(view.description.name))</a>\(tags)\(more)</th>\
            <td class="status"><span class="state">\(snapshot.state.rawValue)</span>\
            <small class="failures">\(Self.failed(snapshot.tasks.failed))</small></td>\
            <td class="overall">\(IndicatorRow.bar(snapshot.percent, words))<span class="percent">\(PageText.percent(snapshot.percent))</span>\
            <small class="newest">\(snapshot.message.map { PageText.visible($0.firstLine) } ?? "")</small></td>\
            <td class="number tasks">\(PageText.number(snapshot.tasks.succeeded))\u{2009}/\u{2009}\(PageText.number(snapshot.tasks.total))</td>\
            <td class="number"><span class="elapsed">\(PageText.duration(microseconds: snapshot.elapsed(view.createdAt, now: now)))</span>\
            <small class="finish">\(RemainingText.text(view.estimate, now: now) ?? "")</small>\(late(view))</td>\
            <td class="changed">\(PageText.time(snapshot.updatedAt, withDay: true))\
            \(PageParts.silence("stalled for", since: view.stalls?.since, now: now))\
            <small class="silent">\(StallsSection.silentWords(view.stalls?.silentCount ?? 0))</small></td></tr>
            """
    }
}

extension Snapshot {
    /// The time that the job has been running, in microseconds.
    ///
    /// It begins with the first execution. Without an execution it begins with the creation of the job.
    func elapsed(_ createdAt: Timestamp, now: Timestamp) -> Int64 {
        (finishedAt ?? now).microseconds - (startedAt ?? createdAt).microseconds
    }
}
