internal import Ledger
internal import LedgerStore

/// The part of a job's page that says why the job does not advance.
///
/// Since when it is stalled, and which executions are silent.
struct StallsSection {
    let view: JobView
    /// The first tasks with a silent execution.
    let tasks: [TaskSummary]
    /// The time that ages are relative to.
    let now: Timestamp
    let links: JobLinks
    let link: PageLink

    /// The maximum number of silent executions that are named.
    static let namesMax = 3

    var html: HTML {
        let stalls = view.stalls ?? .none
        guard stalls.since != nil || stalls.silentCount > 0 else { return "<section id=\"stalls\" hidden></section>" }
        let stalled = stalls.since.map { since in
            HTML(
                """
                <p class="stalled"><strong>Stalled</strong> since \(PageTime.stated(since, near: now)): no unit was done, \
                for longer than this job's pauses before. \(stalls.silentCount == 0 ? "All executions have reported recently." : "")</p>
                """)
        }
        return """
            <section id="stalls" aria-label="Stalls">\(stalled)\(stalls.silentCount > 0 ? silent(stalls.silentCount) : nil)</section>
            """
    }

    private func silent(_ count: Int64) -> HTML {
        let names = tasks.prefix(Self.namesMax).compactMap { task -> HTML? in
            guard let last = task.executions.last, let since = last.silentSince else { return nil }
            let execution = last.name.map { HTML(" (\(HTML.name($0)))") }
            return """
                <li><a href="\(links.task(task.name))">\(HTML.name(task.name))</a>\(execution), last event at \(PageTime.stated(since, near: now)) \
                \(PageParts.silence("silent", since: since, now: now))</li>
                """
        }
        let all = link.without("state", "cursor", "find").with("silent", "true").with(
            "order", TaskOrder.quietest.rawValue
        ).text
        return """
            <p class="silent"><strong>\(Self.silentWords(JobParts.silentCount(view)))</strong>: \(count == 1 ? "its worker" : "their workers") may be lost. \
            <a href="\(all)#tasks">Show all</a></p><ul>\(names)</ul>
            """
    }

    /// The number of silent executions in words.
    ///
    /// - Parameter count: As ``JobParts/silentCount(_:)`` writes it.
    static func silentWords(_ count: String) -> String {
        count == "1" ? "1 execution is silent" : "\(count) executions are silent"
    }
}
