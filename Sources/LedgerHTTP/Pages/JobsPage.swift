internal import Ledger
internal import LedgerStore
internal import LedgerWire

/// The page of all jobs.
struct JobsPage {
    /// The jobs, in the order of the page.
    let views: [JobView]
    /// The shards that did not respond.
    ///
    /// The page lacks their jobs.
    var missingShards: [Int] = []
    /// The numbers of matching jobs by state.
    let counts: JobCountsByState
    let query: JobsQuery
    /// The maximum number of jobs on the page.
    let limit: Int
    /// This page's own address.
    let link: PageLink
    let now: Timestamp
    /// The URL of the server, as the viewer has addressed it.
    let server: String
    /// Whether the viewer may see the page of notifications.
    var seesNotifications = false

    var page: Page {
        Page(
            root: .ofJobs, title: "Jobs – progress ledger", icon: "./pages/icon.svg", style: "jobs.css",
            script: "jobs.js",
            body: """
                <header class="top"><h1>Jobs</h1>\(PageParts.connection)</header>
                <main data-now="\(RFC3339.text(now))">\(form)
                \(list)\(notifications)</main>
                """)
    }

    /// Whether there is no job at all, as far as the viewer may know.
    private var isEmptyLedger: Bool { views.isEmpty && missingShards.isEmpty && link.parameters.isEmpty }

    private var form: HTML {
        // The states are chosen by the links of the list. The form keeps them.
        let states = PageLink("", link.parameters.filter { $0.name == "state" }).hiddenFields
        return """
            <form class="filters" role="search" action="./"\(isEmptyLedger ? " hidden" as HTML : nil)>\(states)
            <label>Search <input type="search" name="search" value="\(query.filter.search ?? "")" \
            placeholder="name, key or id" maxlength="200"></label>
            <label>Tag <input name="tag" value="\(query.tag)" placeholder="name=value" maxlength="301"></label>
            \(select("Created in", "created", JobsQuery.Period.allCases.map { ($0.rawValue, $0.title) }, query.period?.rawValue, "any time"))
            \(select("Sorted", "sort", JobsQuery.Sort.allCases.dropFirst().map { ($0.rawValue, $0.title) }, query.sort.rawValue, JobsQuery.Sort.newest.title))
            <label><input type="checkbox" name="replays" value="true"\(query.filter.includesReplays ? " checked" as HTML : "")> \
            replays</label>
            <button>Show</button> <a class="wall-link" href="\(PageLink("./wall", link.parameters.filter { ["search", "tag"].contains($0.name) }).text)">Wall</a></form>
            """
    }

    private func select(
        _ title: String, _ name: String, _ choices: [(value: String, title: String)], _ chosen: String?,
        _ otherwise: String
    ) -> HTML {
        let options = choices.map { choice in
            HTML(
                "<option value=\"\(choice.value)\"\(choice.value == chosen ? " selected" as HTML : "")>\(choice.title)</option>"
            )
        }
        return
            "<label>\(title) <select name=\"\(name)\"><option value=\"\">\(otherwise)</option>\(options)</select></label>"
    }

    private var notifications: HTML? {
        seesNotifications
            ? "<nav aria-label=\"Administration\"><p><a href=\"./notifications\">Notifications</a></p></nav>" : nil
    }

    /// The counts, the table of jobs, and the links to its other pages.
    ///
    /// `data-watch` is the address of its stream.
    var list: HTML {
        """
        <section id="list" data-watch="\(watch)" data-sort="\(query.sort.rawValue)">\
        \(isEmptyLedger ? GettingStarted(server: server).html : content)</section>
        """
    }

    /// The address of a stream of the jobs of this page.
    ///
    /// A stream contains the newest of some jobs. Those of a page in the other order are the newest of their period,
    /// which has as many more as were created within a millisecond.
    private var watch: String {
        guard query.sort == .oldest, let first = views.first, let last = views.last else {
            return query.watch(limit: limit).text
        }
        var range = query
        range.cursor = nil
        range.filter.createdFrom = first.id.createdAt
        if views.count == limit {
            range.filter.createdBefore = Timestamp(microseconds: last.id.createdAt.microseconds + 1_000)
        }
        return range.watch(limit: 2 * limit).text
    }

    private var content: HTML {
        """
        \(missing)\(states)<table class="jobs"><caption class="hidden">Jobs, \(query.sort.title)</caption><thead><tr>\
        <th scope="col">Job</th><th scope="col">State</th><th scope="col">Progress</th>\
        <th scope="col" class="number">Tasks</th><th scope="col" class="number">Elapsed</th>\
        <th scope="col">Last event</th></tr></thead><tbody>\
        \(views.map { JobRow(view: $0, now: now).html })\(views.isEmpty ? empty : "")</tbody></table>
        \(pages)
        """
    }

    private var missing: HTML? {
        guard !missingShards.isEmpty else { return nil }
        let shards = missingShards.map(String.init).joined(separator: ", ")
        return "<p role=\"status\">Jobs are missing from this list: a database does not respond (shard \(shards)).</p>"
    }

    private var empty: HTML { "<tr class=\"empty\"><td colspan=\"6\">No jobs match the filter.</td></tr>" }

    /// The number of jobs in each state.
    ///
    /// Each is a link that adds the state to the filter or removes it.
    private var states: HTML {
        let chosen = query.filter.states
        let base = link.without("state", "cursor", "end")
        let links = JobState.allCases.map { state in
            let isChosen = chosen.contains(state)
            var target = base
            for other in JobState.allCases where chosen.contains(other) != (other == state) {
                target = target.adding("state", other.rawValue)
            }
            let more = counts.incomplete.contains(state) ? "+" : ""
            let number: HTML? =
                chosen.isEmpty || isChosen ? " <b>\(PageText.number(counts[state]))\(more)</b>" : nil
            return HTML(
                "<a data-key=\"\(state.rawValue)\" data-state=\"\(state.rawValue)\" href=\"\(target.text)\"\(isChosen ? " aria-current=\"true\"" as HTML : "")>\(state.rawValue)\(number)</a>"
            )
        }
        let all = HTML(
            "<a data-key=\"all\" href=\"\(base.text)\"\(chosen.isEmpty ? " aria-current=\"true\"" as HTML : "")>all</a>"
        )
        return "<nav class=\"states\" aria-label=\"States\">\(all)\(links)</nav>"
    }

    private var pages: HTML {
        guard let order = query.sort.order else {
            // Only these are sorted: an order without an index would have to read all jobs.
            guard views.count == limit else { return "" }
            return
                "<p class=\"pages\">The newest \(PageText.number(limit)) of these jobs are sorted. Older ones are listed by the order “newest first”.</p>"
        }
        let (back, forth) = order == .newest ? ("Newer", "Older") : ("Older", "Newer")
        let base = link.without("cursor", "end")
        let first: HTML? =
            query.cursor == nil ? nil : "<a href=\"\(base.text)\">\(order == .newest ? "Newest" : "Oldest")</a>"
        let previous: HTML? =
            query.cursor == nil
            ? nil
            : views.first.map {
                HTML("<a rel=\"prev\" href=\"\(base.with("end", $0.id.description).text)\">\(back)</a>")
            }
        let next =
            views.count == limit
            ? views.last.map {
                HTML("<a rel=\"next\" href=\"\(base.with("cursor", $0.id.description).text)\">\(forth)</a>")
            } : nil
        return "<nav class=\"pages\" aria-label=\"Pages\">\(first)\(previous)\(next)</nav>"
    }
}
