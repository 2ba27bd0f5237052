internal import Ledger
internal import LedgerStore

/// A timeline of executions, with a row for each task.
///
/// The bar of an execution lasts from its first event to its last. The upper half of a row contains the last execution,
/// the lower half the superseded ones, which are hatched.
struct TimelineFigure {
    let tasks: [TaskSummary]
    /// Whether the job is running, so that executions without an end are running still.
    let isRunning: Bool
    /// The time until which running executions are drawn.
    let now: Timestamp
    let links: JobLinks

    /// The least width of a bar, in thousandths.
    private static let widthMin: Int64 = 3

    var html: HTML? {
        let executions = tasks.flatMap(\.executions)
        guard let start = executions.map(\.startedAt).min(), let end = executions.map({ self.end(of: $0) }).max()
        else { return nil }
        let scale = Scale(start: start, span: max(1, end.microseconds - start.microseconds))
        let latest = Timestamp(microseconds: start.microseconds + scale.span)
        let axis = ChartAxis.span(from: start, to: latest)
        let ticks = ChartAxis.times(from: start, to: latest)
        let shown = ticks.map { (x: scale.x($0.at), text: $0.text) }.filter { (30...970).contains($0.x) }
        let texts = shown.enumerated().map { SVGText.tick($1.text, at: $1.x, isMinor: $0 % 2 == 1) }
        let lines = shown.map { SVGText.line(at: $0.x) }
        let hasSuperseded = executions.contains { !$0.isCounted }
        return """
            <figure class="timeline"><svg class="patterns" aria-hidden="true"><defs><pattern id="hatch" width="6" height="6" \
            patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="2.5" height="6"/></pattern></defs></svg>\
            <div class="rows"><div class="lanes"><svg class="lines" aria-hidden="true"\(axis)>\(lines)</svg>\
            <ul>\(tasks.map { row($0, scale) })</ul></div></div>\
            <svg class="times" aria-hidden="true"\(axis)>\(texts)</svg>
            <figcaption><span class="left">\(PageTime.second(start))</span>\
            <span class="keys">\(keys)\(hasSuperseded ? "<span class=\"key superseded\">superseded</span>" as HTML : "")</span>\
            <span class="right">\(PageTime.second(end))</span></figcaption></figure>
            """
    }

    /// Coordinates in thousandths of the width.
    private struct Scale {
        let start: Timestamp
        let span: Int64

        func x(_ at: Timestamp) -> Int64 {
            Int64(Int128(at.microseconds - start.microseconds) * 1_000 / Int128(span))
        }
    }

    private func isRunning(_ execution: ExecutionSummary) -> Bool {
        isRunning && execution.outcome == nil && execution.isCounted
    }

    private func end(of execution: ExecutionSummary) -> Timestamp {
        isRunning(execution) ? max(now, execution.lastAt) : execution.lastAt
    }

    /// The outcome of an execution, as the table shows it.
    private func outcome(_ execution: ExecutionSummary, of task: TaskSummary) -> String {
        execution.outcome?.rawValue ?? (execution.isCounted ? task.state.rawValue : "unfinished")
    }

    private var keys: HTML {
        let outcomes = Set(tasks.flatMap { task in task.executions.map { outcome($0, of: task) } })
        return HTML(
            (TaskState.allCases.map(\.rawValue) + ["unfinished"]).filter { outcomes.contains($0) }.map {
                HTML("<span class=\"key execution\" data-outcome=\"\($0)\">\($0)</span>")
            })
    }

    private func row(_ task: TaskSummary, _ scale: Scale) -> HTML {
        let bars = task.executions.map { bar($0, of: task, scale, isAlone: task.executions.count == 1) }
        let words = task.executions.map { self.words($0, of: task) }.joined(separator: "; ")
        return """
            <li data-key="\(task.id.sequence)"><a href="\(links.task(task.name))">\(HTML.name(task.name))</a>\
            <svg class="lane" role="img" aria-label="\(words)">\(bars)</svg></li>
            """
    }

    private func bar(
        _ execution: ExecutionSummary, of task: TaskSummary, _ scale: Scale, isAlone: Bool
    ) -> HTML {
        let outcome = outcome(execution, of: task)
        let left = scale.x(execution.startedAt)
        let right = scale.x(end(of: execution))
        // A bar of a moment stays visible, and inside.
        let width = max(Self.widthMin, right - left)
        let x = min(left, 1_000 - width)
        let (y, height) = isAlone ? (20, 60) : execution.isCounted ? (8, 44) : (58, 34)
        func rectangle(_ x: Int64, _ width: Int64, _ kind: String, fill: HTML? = nil) -> HTML {
            """
            <rect class="\(kind)" x="\(SVGText.percent(x))" width="\(SVGText.percent(width))" y="\(y)%" height="\(height)%" rx="2"\(fill)/>
            """
        }
        // Nothing was heard of a running execution since its last event.
        let heard = isRunning(execution) ? min(width, max(Self.widthMin, scale.x(execution.lastAt) - left)) : width
        let unheard = heard < width ? rectangle(x + heard, width - heard, "unheard") : nil
        let hatch: HTML? = execution.isCounted ? nil : rectangle(x, width, "hatched", fill: " fill=\"url(#hatch)\"")
        return """
            <g class="execution" data-outcome="\(outcome)" data-counts="\(execution.isCounted ? "counted" : "superseded")">\
            \(PageTime.title("\(words(execution, of: task)) · from ", execution.startedAt))\(rectangle(x, heard, "heard"))\(unheard)\(hatch)</g>
            """
    }

    private func words(_ execution: ExecutionSummary, of task: TaskSummary) -> String {
        let name = execution.name.map { " (\(PageText.visible($0.text)))" } ?? ""
        let took = end(of: execution).microseconds - execution.startedAt.microseconds
        let superseded = execution.isCounted ? "" : ", superseded"
        return """
            attempt \(execution.attempt)\(name): \(outcome(execution, of: task))\(superseded), \
            \(PageText.duration(microseconds: took))
            """
    }
}
