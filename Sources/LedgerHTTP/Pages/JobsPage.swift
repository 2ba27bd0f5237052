internal import Ledger
internal import LedgerStore

/// The page of all jobs.
struct JobsPage {
    let views: [JobView]
    let filter: JobFilter
    /// What was typed as a tag, `NAME=VALUE`.
    let tag: String
    let cursor: JobID?
    let limit: Int
    /// This page's own address.
    let link: PageLink
    let now: Timestamp

    var page: Page {
        Page(
            title: "Jobs – progress ledger", icon: "/pages/icon.svg", script: "jobs.js",
            body: """
                <header class="top"><h1>Jobs</h1>\(PageParts.connection)</header>
                <main><form class="filters" role="search" action="/">
                <label>Search <input type="search" name="search" value="\(filter.search ?? "")" \
                placeholder="name, key or id" maxlength="200"></label>
                \(PageParts.select("State", "state", JobState.allCases.map(\.rawValue), filter.state?.rawValue))
                <label>Tag <input name="tag" value="\(tag)" placeholder="name=value" maxlength="301"></label>
                <button>Show</button></form>
                \(list)</main>
                """)
    }

    /// The jobs, and where there are more. `data-watch` is what the module listens to.
    var list: HTML {
        var watch = PageLink("/v1/watch", [("limit", String(limit))])
        if let state = filter.state { watch = watch.with("state", state.rawValue) }
        if let search = filter.search { watch = watch.with("search", search.text) }
        for (name, value) in filter.tags { watch = watch.with("tag.\(name)", value.text) }
        if let cursor { watch = watch.with("cursor", cursor.description) }
        let older = views.count == limit ? views.last?.id.description : nil
        return """
            <section id="list" data-watch="\(watch.text)"><table class="jobs"><caption class="hidden">Jobs, newest first</caption><thead><tr>\
            <th scope="col">Job</th><th scope="col">State</th><th scope="col">Progress</th>\
            <th scope="col" class="number">Tasks</th><th scope="col" class="number">Elapsed</th>\
            <th scope="col">Changed</th></tr></thead><tbody>\
            \(views.map(row))\(views.isEmpty ? empty : "")</tbody></table>
            <nav class="pages" aria-label="Pages">\(cursor == nil ? nil : HTML("<a href=\"\(link.without("cursor").text)\">Newest</a>"))\
            \(older.map { HTML("<a rel=\"next\" href=\"\(link.with("cursor", $0).text)\">Older</a>") })</nav></section>
            """
    }

    private var empty: HTML {
        """
        <tr class="empty"><td colspan="6">No job to show. <code>progress-ledger demo</code> plays one.</td></tr>
        """
    }

    private func row(_ view: JobView) -> HTML {
        let snapshot = view.snapshot
        let tags = view.description.sortedTags.prefix(6).map { name, value in
            HTML(
                "<a class=\"tag\" href=\"\(PageLink("/", [("tag", "\(name)=\(value)")]).text)\">\(HTML.name(name))=\(HTML.name(value))</a>"
            )
        }
        let words = snapshot.percent.map { "\($0) percent" } ?? "no units declared"
        return """
            <tr data-job="\(view.id.description)" data-state="\(snapshot.state.rawValue)">\
            <th scope="row"><a href="/jobs/\(view.id.description)">\(HTML.name(view.description.name))</a>\(tags)</th>\
            <td><span class="state">\(snapshot.state.rawValue)</span></td>\
            <td class="overall">\(IndicatorRow.bar(snapshot.percent, words))<span class="percent">\(PageText.percent(snapshot.percent))</span></td>\
            <td class="number tasks">\(PageText.number(snapshot.tasks.succeeded))\u{2009}/\u{2009}\(PageText.number(snapshot.tasks.total))</td>\
            <td class="number elapsed">\(PageText.duration(microseconds: snapshot.elapsed(view.createdAt, now: now)))</td>\
            <td class="changed">\(PageText.time(snapshot.updatedAt, withDay: true))</td></tr>
            """
    }
}

/// What several pages have.
enum PageParts {
    /// Whether the page is live, and how old what it shows is. Without the module it says so.
    static let connection: HTML = """
        <p id="connection" role="status" data-state="still"><span class="dot"></span><span class="words">as it was when this \
        page was loaded</span></p>
        """

    /// A choice of one of these words, or of any.
    static func select(_ title: String, _ name: String, _ choices: [String], _ chosen: String?) -> HTML {
        let options = choices.map { choice in
            HTML(
                "<option value=\"\(choice)\"\(choice == chosen ? " selected" as HTML : "")>\(choice.split(separator: "_").joined(separator: " "))</option>"
            )
        }
        return "<label>\(title) <select name=\"\(name)\"><option value=\"\">any</option>\(options)</select></label>"
    }
}

extension Snapshot {
    /// How long the job has run, in microseconds: since its first execution began, or since it was created.
    func elapsed(_ createdAt: Timestamp, now: Timestamp) -> Int64 {
        (finishedAt ?? now).microseconds - (startedAt ?? createdAt).microseconds
    }
}
