internal import Ledger
internal import LedgerStore
internal import LedgerWire

/// The page of a job, now or as of a moment.
struct JobPage {
    /// The job, with its snapshot as of the moment.
    let view: JobView
    /// The sequence that the page shows; nil for the present.
    let moment: EventSequence?
    /// The indicator that is drawn and explained; nil if none is chosen.
    let selected: EventFilter.Indicator?
    /// This page's own address.
    let link: PageLink
    let links: JobLinks
    let now: Timestamp

    var snapshot: Snapshot { view.snapshot }

    /// The time that ages are relative to: the present, or the past moment.
    var shownAt: Timestamp { moment == nil ? now : snapshot.updatedAt ?? view.createdAt }

    func page(_ sections: [HTML]) -> Page {
        let percent = snapshot.percent.map { "\($0)% " } ?? ""
        return Page(
            root: .ofJob, title: "\(percent)\(PageText.visible(view.description.name.text)) – progress ledger",
            icon: Icon.link(snapshot, from: .ofJob), script: "job.js",
            body: """
                <header class="top"><nav aria-label="Breadcrumb"><a href="../">Jobs</a></nav>\(PageParts.connection)</header>
                <main id="job" data-job="\(view.id.description)" data-moment="\(moment.map(String.init) ?? "")" \
                data-sequence="\(snapshot.sequence)" data-updated="\(snapshot.updatedAt.map(RFC3339.text) ?? "")" \
                data-stalls="\(view.stalls?.silentCount ?? 0) \(view.stalls?.since.map(RFC3339.text) ?? "")" \
                data-head="\(view.ledgerSequence)" data-now="\(RFC3339.text(now))">
                \(sections)</main>
                <template id="indicator">\(template)</template>
                """)
    }

    /// The template of a row for an indicator that appears while the page is open.
    private var template: HTML {
        IndicatorRow(
            indicator: Snapshot.Indicator(label: nil, counted: .zero, attempted: .zero, updatedAt: now),
            now: now, link: ""
        ).html
    }

    // MARK: Parts

    var head: HTML {
        let tasks = snapshot.tasks
        func count(_ name: String, _ value: Int64, _ title: String, _ link: String? = nil, text: String? = nil) -> HTML
        {
            let number: HTML = "\(text ?? PageText.number(value))"
            let shown = link.map { HTML("<a href=\"\($0)\">\(number)</a>") } ?? number
            return """
                <div data-count="\(name)" data-zero="\(value == 0 ? "true" : "false")"><dd>\(shown)</dd><dt>\(title)</dt></div>
                """
        }
        // The tasks behind each number are one click away.
        let all = link.without("cursor", "silent", "find", "order", "state")
        func inState(_ state: TaskState) -> String { all.with("state", state.rawValue).text + "#tasks" }
        let silent = all.with("silent", "true").with("order", TaskOrder.quietest.rawValue).text + "#tasks"
        return """
            <section id="head" data-state="\(snapshot.state.rawValue)" \
            data-deadline="\(view.description.deadline.map(RFC3339.text) ?? "")"><h1>\(HTML.name(view.description.name))</h1>
            <p class="figures"><span class="state">\(snapshot.state.rawValue)</span>\
            <span class="overall" title="The mean of the indicators">\(PageText.percent(snapshot.percent))</span>\
            <span class="elapsed">\(PageText.duration(microseconds: snapshot.elapsed(view.createdAt, now: shownAt)))</span>\
            <span class="finish">\(EstimateText.remaining(view.estimate, now: shownAt))</span>\
            \(JobParts.late(view, now: shownAt))<span class="rate">\(rate)</span>\(PageParts.silence("stalled for", since: view.stalls?.since, now: shownAt))</p>
            <p class="newest">\(snapshot.message.map { PageText.visible($0.firstLine) } ?? "")</p>
            <p class="estimate"><span class="grounds">\(EstimateText.grounds(view.estimate))</span><span class="idle">\(idle)</span></p>
            <dl class="tallies">\(count("running", tasks.running, "running", inState(.running)))\
            \(count("succeeded", tasks.succeeded, "succeeded", inState(.succeeded)))\
            \(count("failed", tasks.failed, "failed", inState(.failed)))\
            \(count("canceled", tasks.canceled, "canceled", inState(.canceled)))\
            \(count("abandoned", tasks.abandoned, "abandoned", inState(.abandoned)))\
            \(count("silent", view.stalls?.silentCount ?? 0, "silent", silent, text: JobParts.silentCount(view)))\
            \(count("total", tasks.total, "in total"))\(count("superseded_executions", tasks.supersededExecutions, "superseded executions"))</dl>
            </section>
            """
    }

    /// The indicator that is being worked on.
    ///
    /// The first one with units done and units left, or else the first one with units left.
    var current: Snapshot.Indicator? {
        let isOpen = { (indicator: Snapshot.Indicator) in indicator.counted.done < indicator.counted.total }
        return snapshot.indicators.first { isOpen($0) && $0.counted.done > 0 }
            ?? snapshot.indicators.first(where: isOpen) ?? snapshot.indicators.last
    }

    /// The recent speed of the current indicator; empty if it does not move.
    private var rate: HTML {
        guard snapshot.state == .running, let current, let pace = view.estimate?.paces[current.label] else { return "" }
        let text = PageText.rate(pace.rate, unit: current.unit)
        return text.isEmpty ? "" : "\(current.label.map { HTML("\(HTML.name($0)): ") })\(text)"
    }

    /// The remark that nothing runs although the job has not ended; empty otherwise.
    ///
    /// It comes last in a line that is always there, so that nothing moves when it appears.
    private var idle: HTML {
        snapshot.idleSince.map { since in
            "idle since \(PageTime.stated(since, near: shownAt)): all tasks have ended"
        } ?? ""
    }

    /// The facts that do not change: they come after the problems.
    var facts: HTML {
        var facts: [HTML] = view.description.sortedTags.map { name, value in
            "<span class=\"tag\">\(HTML.name(name))=\(HTML.name(value))</span>"
        }
        if let key = view.description.key { facts.append("<span>key \(HTML.name(key))</span>") }
        facts.append("<span>created \(PageTime.stated(view.createdAt, near: shownAt))</span>")
        facts.append("<span><code>\(view.id.description)</code></span>")
        facts.append(
            """
            <span class="copies">\(PageParts.copy("Copy link", nil))\(PageParts.copy("Copy id", view.id.description))\
            \(PageParts.copy("Copy command", "progress-ledger watch \(view.id.description)"))</span>
            """)
        return "<section id=\"facts\" aria-label=\"Facts\"><p class=\"facts\">\(facts)</p></section>"
    }

    /// The moment that is shown, and the slider to others.
    func moments(_ verification: Verification?) -> HTML {
        let shown = moment ?? view.ledgerSequence
        let words: HTML =
            if moment == nil {
                "<strong>Now</strong>, at event <span class=\"sequence\">\(PageText.number(snapshot.sequence))</span>"
            } else {
                """
                <strong>As of event <span class="sequence">\(PageText.number(shown))</span></strong>, \
                \(PageTime.stated(snapshot.updatedAt)) <a class="now" href="\(link.without("at_sequence", "at", "before", "cursor").text)">Back to now</a>
                """
            }
        return """
            <section id="moment" class="\(moment == nil ? "present" : "past")"><form action="\(link.path)">\
            \(link.without("at_sequence", "at", "before", "cursor").hiddenFields)\
            <label for="at">Moment</label><input id="at" type="range" name="at_sequence" min="0" max="\(view.ledgerSequence)" value="\(shown)" \
            aria-valuetext="event \(shown)"><button>Show</button></form><p class="words">\(words)</p>\(chain(verification))</section>
            """
    }

    /// The result of verifying the job's hash chain.
    func chain(_ verification: Verification?) -> HTML {
        guard let verification else {
            return """
                <p id="chain" data-verified="no"><a href="\(link.with("verify", "1").text)#chain">Verify the hash chain</a></p>
                """
        }
        let hash = verification.headHash.description
        if let fault = verification.fault {
            return """
                <p id="chain" data-verified="broken"><strong>✗ Changed after it was recorded</strong>, at event \(PageText.number(fault.sequence)): \
                \(PageText.visible(fault.detail))</p>
                """
        }
        return """
            <p id="chain" data-verified="whole" title="SHA-256 of the last event: \(hash)"><strong>✓ Verified</strong> through event \
            \(PageText.number(verification.sequence)) <code>\(hash.prefix(12).description)…</code></p>
            """
    }

    var indicators: HTML {
        let rows = snapshot.indicators.map { indicator in
            IndicatorRow(
                indicator: indicator, now: shownAt, stalledSince: view.stalls?.since(indicator),
                rate: view.estimate?.paces[indicator.label]?.rate, link: indicatorLink(indicator.label),
                isSelected: selected?.label == indicator.label && selected != nil
            )
        }
        return IndicatorList(rows: rows, state: snapshot.state).html
    }

    func indicatorLink(_ label: Name?) -> String {
        link.without("cursor", "before", "from", "executions", "chart").with("indicator", label?.text ?? "").text
            + "#explanation"
    }
}
