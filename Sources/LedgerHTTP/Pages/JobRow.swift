internal import Ledger
internal import LedgerStore
internal import LedgerWire

/// A job in the list of jobs.
///
/// `Files/jobs.js` keeps it up to date.
struct JobRow {
    let view: JobView
    let now: Timestamp

    /// The number of tags in a row; the page of the job shows all.
    private static let tagsShown = 3

    private var snapshot: Snapshot { view.snapshot }

    var html: HTML {
        let words = snapshot.percent.map { "\($0) percent" } ?? "no units declared"
        return """
            <tr data-job="\(view.id.description)" data-state="\(snapshot.state.rawValue)" \
            data-deadline="\(view.description.deadline.map(RFC3339.text) ?? "")">\
            <th scope="row"><a href="./jobs/\(view.id.description)">\(HTML.name(view.description.name))</a>\(key)\(tags)</th>\
            <td class="status"><span class="state">\(snapshot.state.rawValue)</span>\
            \(JobParts.late(view, now: now))\(PageParts.silence("stalled", since: view.stalls?.since, now: now))\
            <small class="failures">\(JobParts.failed(snapshot.tasks.failed))</small>\
            <small class="silent">\(JobParts.silent(view))</small>\(view.isRetired ? "<small>retired</small>" : nil)</td>\
            <td class="overall">\(IndicatorRow.bar(snapshot.percent, words))<span class="percent">\(PageText.percent(snapshot.percent))</span>\
            <small class="finish">\(JobParts.remaining(view, now: now))</small>\
            <small class="newest">\(snapshot.message.map { PageText.visible($0.firstLine) } ?? "")</small></td>\
            <td class="number tasks">\(PageText.number(snapshot.tasks.succeeded))\u{2009}/\u{2009}\(PageText.number(snapshot.tasks.total))</td>\
            <td class="number since"><span class="elapsed">\(PageText.duration(microseconds: snapshot.elapsed(view.createdAt, now: now)))</span>\
            <small>since \(PageTime.minute(snapshot.startedAt ?? view.createdAt))</small></td>\
            <td class="changed">\(PageTime.ago(snapshot.updatedAt ?? view.createdAt, now: now))\
            <small>\(PageTime.minute(snapshot.updatedAt ?? view.createdAt))</small></td></tr>
            """
    }

    private var key: HTML? { view.description.key.map { "<small class=\"job-key\">\(HTML.name($0))</small>" } }

    private var tags: HTML {
        // The page shows the deadline by itself; the others are settings.
        let all = view.description.sortedTags.filter { !$0.name.text.hasPrefix("ledger.") }
        let shown = all.prefix(Self.tagsShown).map { name, value in
            HTML(
                "<a class=\"tag\" href=\"\(PageLink("./", [("tag", "\(name)=\(value)")]).text)\">\(HTML.name(name))=\(HTML.name(value))</a>"
            )
        }
        let rest = all.count - shown.count
        return "\(shown)\(rest > 0 ? HTML("<small>+\(rest) more</small>") : nil)"
    }
}

/// Elements of jobs that the list and the wall share.
enum JobParts {
    /// The number of failed tasks in words; empty for none.
    static func failed(_ count: Int64) -> String { count == 0 ? "" : "\(PageText.number(count)) failed" }

    /// The number of silent executions in words; empty for none.
    static func silent(_ view: JobView) -> String {
        view.stalls?.silentCount ?? 0 == 0 ? "" : "\(silentCount(view)) silent"
    }

    /// The number of silent executions, such as `12`.
    ///
    /// Only the first 512 running executions are counted. With more, the number ends with a plus sign: `512+`.
    /// `silentCountText` in `Files/text.js` is the same.
    static func silentCount(_ view: JobView) -> String {
        let count = view.stalls?.silentCount ?? 0
        let isLowerBound = count > 0 && view.snapshot.tasks.running > Int64(EstimateState.runningMax)
        return PageText.number(count) + (isLowerBound ? "+" : "")
    }

    /// The remaining time of a running job in words; empty without a prediction.
    static func remaining(_ view: JobView, now: Timestamp) -> String {
        RemainingText.text(view.estimate, now: now).map { "\($0) left" } ?? ""
    }

    /// The mark of a job that will probably miss its deadline; hidden on other jobs.
    static func late(_ view: JobView, now: Timestamp) -> HTML {
        let isLate = JobUrgency(view, now: now) == .late
        let due = view.description.deadline.map { HTML(", due \(PageTime.minute($0))") }
        return "<small class=\"late\"\(isLate ? nil : " hidden" as HTML)>late\(due)</small>"
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
