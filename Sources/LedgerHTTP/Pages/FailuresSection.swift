internal import Ledger
internal import LedgerStore
internal import LedgerWire

/// The part of a job's page that says why tasks failed.
///
/// It shows their messages, the most frequent one first.
struct FailuresSection {
    /// The number of failed tasks.
    let count: Int64
    /// The newest failed tasks, the newest first; at most ``tasksMax``.
    let tasks: [TaskSummary]
    /// The time that the page shows.
    let now: Timestamp
    let links: JobLinks
    let link: PageLink

    /// The maximum number of failed tasks to compare the messages of.
    static let tasksMax = 100
    /// The maximum number of different messages that are shown.
    private static let messagesMax = 5

    /// Failed tasks with the same message.
    private struct Cause {
        /// The newest one, or the newest one with a link.
        var example: TaskSummary
        var count = 0

        var message: Name? { example.executions.last?.message }
        var link: Name? { example.executions.last?.link }
    }

    var html: HTML {
        guard count > 0 else { return "<section id=\"failures\" hidden></section>" }
        let all = link.without("cursor", "silent", "find", "order").with("state", TaskState.failed.rawValue).text
        let causes = causes
        let rest = causes.count - Self.messagesMax
        let more: HTML? =
            rest > 0 ? HTML("<li class=\"more\">and \(PageText.number(rest)) other messages</li>") : nil
        let part: HTML? =
            count > Int64(tasks.count)
            ? HTML(" <small>The messages are those of the newest \(PageText.number(tasks.count)).</small>") : nil
        return """
            <section id="failures" aria-label="Failures"><p class="failed"><strong>\(Self.words(count))</strong>: \
            \(count == 1 ? "its" : "their") work counts until a retry starts. <a href="\(all)#tasks">Show all</a>\(part)</p>\
            <ul>\(causes.prefix(Self.messagesMax).map(row))\(more)</ul></section>
            """
    }

    /// The number of failed tasks in words.
    private static func words(_ count: Int64) -> String {
        count == 1 ? "1 task has failed" : "\(PageText.number(count)) tasks have failed"
    }

    /// The messages, the most frequent one first.
    private var causes: [Cause] {
        var causes: [Cause] = []
        var indices: [Name?: Int] = [:]
        for task in tasks {
            let message = task.executions.last?.message
            // Messages that differ only in later lines, as in the addresses of a stack trace, have the same cause.
            let first = message.map { Name($0.firstLine) }
            let index = indices[first] ?? causes.count
            if index == causes.count {
                indices[first] = index
                causes.append(Cause(example: task))
            }
            if causes[index].link == nil, task.executions.last?.link != nil { causes[index].example = task }
            causes[index].count += 1
        }
        return causes.enumerated().sorted { ($1.element.count, $0.offset) < ($0.element.count, $1.offset) }
            .map(\.element)
    }

    private func row(_ cause: Cause) -> HTML {
        let last = cause.example.executions.last
        let number: HTML? =
            cause.count > 1 ? HTML("<span class=\"times\">\(PageText.number(cause.count))×</span> ") : nil
        let attempt = last.map { HTML(", attempt \($0.attempt)") }
        let time = last.map { HTML(", \(PageTime.stated($0.lastAt, near: now))") }
        return """
            <li>\(number)\(PageParts.message(cause.message) ?? "<i>no message</i>") \
            <span class="where">\(cause.count > 1 ? "for example " : "")<a href="\(links.task(cause.example.name))">\
            \(HTML.name(cause.example.name))</a>\(attempt)\(time) \(PageParts.link(last?.link))</span></li>
            """
    }
}
