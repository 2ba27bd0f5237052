internal import Ledger
internal import LedgerStore
internal import LedgerWire

/// The page for a screen on the wall.
///
/// It shows the running jobs as tiles, those with problems first.
struct WallPage {
    /// The running jobs, in the order of their urgency.
    let running: [JobView]
    /// The jobs that failed recently, the last one first.
    let failed: [JobView]
    let query: JobsQuery
    /// The maximum number of tiles.
    let limit: Int
    let now: Timestamp

    var page: Page {
        let shown = [query.filter.search?.text, query.tag.isEmpty ? nil : query.tag].compactMap(\.self)
        return Page(
            root: .ofJobs, title: "Wall – progress ledger", icon: "./pages/icon.svg", style: "jobs.css",
            script: "wall.js",
            body: """
                <header class="top"><nav aria-label="Breadcrumb"><a href="./">Jobs</a></nav>\(PageParts.connection)</header>
                <main class="wall" data-now="\(RFC3339.text(now))"><h1 class="hidden">Running jobs\
                \(shown.isEmpty ? nil : HTML(": \(shown.joined(separator: ", "))"))</h1>
                \(list)</main>
                """)
    }

    /// The tiles, with the address of their stream.
    var list: HTML {
        """
        <section id="list" data-watch="\(query.watch(limit: limit).text)"><p class="sums">\(sums)</p>
        \(running.isEmpty ? "<p class=\"empty\">No job is running.</p>" : HTML("<ol class=\"tiles\">\(running.map(tile))</ol>"))\
        \(failed.isEmpty ? nil : recentFailures)</section>
        """
    }

    /// The number of jobs with each problem.
    private var sums: HTML {
        let problems: [(JobUrgency, String)] = [
            (.late, "late"), (.stalled, "stalled"), (.failing, "with failed tasks"), (.silent, "silent"),
        ]
        let urgencies = running.map { JobUrgency($0, now: now) }
        let more = running.count == limit ? "+" : ""
        let counts = problems.compactMap { urgency, words in
            let count = urgencies.count { $0 == urgency }
            return count == 0
                ? nil : HTML("<span data-urgency=\"\(urgency.name)\"><b>\(PageText.number(count))</b> \(words)</span>")
        }
        return "<span><b>\(PageText.number(running.count))\(more)</b> running</span>\(counts)"
    }

    private func tile(_ view: JobView) -> HTML {
        let snapshot = view.snapshot
        let words = snapshot.percent.map { "\($0) percent" } ?? "no units declared"
        return """
            <li class="tile" data-job="\(view.id.description)" data-state="\(snapshot.state.rawValue)" \
            data-urgency="\(JobUrgency(view, now: now).name)" data-deadline="\(view.description.deadline.map(RFC3339.text) ?? "")">\
            <h2><a href="./jobs/\(view.id.description)">\(HTML.name(view.description.name))</a>\
            \(view.description.key.map { HTML("<small class=\"job-key\">\(HTML.name($0))</small>") })</h2>\
            <p class="percent">\(PageText.percent(snapshot.percent))</p>\
            <div class="overall">\(IndicatorRow.bar(snapshot.percent, words))</div>\
            <p class="problems">\(JobParts.late(view, now: now))\(PageParts.silence("stalled", since: view.stalls?.since, now: now))\
            <span class="failures">\(JobParts.failed(snapshot.tasks.failed))</span>\
            <span class="silent">\(JobParts.silent(view))</span></p>\
            <p class="times"><span class="finish">\(JobParts.remaining(view, now: now))</span>\
            <span class="elapsed">\(PageText.duration(microseconds: snapshot.elapsed(view.createdAt, now: now)))</span></p>\
            <p class="newest">\(snapshot.message.map { PageText.visible($0.firstLine) } ?? "")</p></li>
            """
    }

    /// The jobs that failed recently.
    ///
    /// A job must not vanish from the wall because it has failed.
    private var recentFailures: HTML {
        let rows = failed.map { view in
            let ended = view.snapshot.finishedAt ?? view.createdAt
            return HTML(
                """
                <li data-key="\(view.id.description)"><a href="./jobs/\(view.id.description)">\(HTML.name(view.description.name))</a> \
                <small>\(view.description.key.map { HTML("\(HTML.name($0)) · ") })failed \(PageTime.ago(ended, now: now))\
                \(view.snapshot.message.map { HTML(": \(PageText.visible($0.firstLine))") })</small></li>
                """)
        }
        return """
            <section class="ended" aria-labelledby="ended"><h2 id="ended">Failed in the last 24 hours</h2><ul>\(rows)</ul></section>
            """
    }
}
