internal import Ledger
internal import LedgerStore
internal import LedgerWire

/// A figure of all executions of a job over time.
///
/// It shows how many were at work, in which state, and when some failed. It is aggregated by intervals, so its size
/// does not depend on the number of executions.
struct TimelineSection {
    /// Nil if the job has too many executions to read them without a request.
    var timeline: ExecutionTimeline?
    let jobState: JobState
    /// The number of tasks of the job.
    let taskCount: Int64
    /// The number of executions of the job.
    let executionCount: Int64
    let link: PageLink

    /// The number of intervals.
    static let intervals = 120
    /// The maximum number of executions that are read without a request.
    ///
    /// Reading them takes less than a second.
    static let executionsDrawnAtOnce: Int64 = 200_000

    /// Whether the job has more tasks than the table draws one by one.
    var isShown: Bool { taskCount > Int64(JobPageBuilder.tasksOnPage) }

    var html: HTML {
        guard isShown else { return "<section id=\"timeline\" hidden></section>" }
        guard let timeline else {
            return """
                <section id="timeline" data-drawn="no">\(heading)<p class="empty"><a href="\(link.with("draw", "1").text)#timeline">Draw the \
                timeline</a> <small>reads \(PageText.number(executionCount)) executions</small></p></section>
                """
        }
        let layers = layers(timeline)
        let top = max(1, layers.last?.tops.max() ?? 0)
        let ticks = ChartAxis.values(to: Int128(top.rounded(.up)), unit: nil)
        let failures = failures(timeline)
        let scale = Scale(timeline)
        let hasFailures = failures.contains { $0 > 0 }
        return """
            <section id="timeline" data-drawn="yes">\(heading)\
            <figure class="overview\(hasFailures ? " failing" : "")"><div class="axes"><svg class="values" aria-hidden="true">\
            \(ticks.map { valueText($0, top) })</svg>\
            <svg class="plot" role="img" aria-label="\(summary(timeline, layers, failures))">\(ticks.map { gridLine($0, top) })\
            <svg class="curves" viewBox="0 0 1000 1000" preserveAspectRatio="none">\
            \(layers.map { area($0, scale, top) })</svg>\
            <defs><pattern id="hatch-all" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">\
            <rect width="2.5" height="6"/></pattern></defs>\(hatching(layers, scale, top))\(hints(timeline, layers, failures, scale))</svg>\
            \(hasFailures ? strip(failures, scale) : nil)\
            <svg class="times" aria-hidden="true"\(ChartAxis.span(from: timeline.bounds[0], to: timeline.end))>\(timeTexts(timeline))</svg></div>
            <figcaption><span class="left">\(PageTime.second(timeline.bounds[0]))</span>\
            <span class="keys">\(layers.map { HTML("<span class=\"key execution\" data-outcome=\"\($0.name)\">\($0.name)</span>") })</span>\
            <span class="right">\(PageTime.second(timeline.end))</span></figcaption></figure></section>
            """
    }

    private var heading: HTML {
        let data = link.with("draw", "1").with("part", "timeline")
        let exports = PageParts.exports(csv: data.with("as", "csv").text, json: data.with("as", "json").text)
        return "<div class=\"heading\"><h2>All executions over time</h2>\(timeline == nil ? nil : exports)</div>"
    }

    // MARK: Layers

    /// The executions in one state, stacked on those of the layers below.
    private struct Layer {
        let name: String
        let bases: [Double]
        let tops: [Double]

        func count(_ index: Int) -> Double { tops[index] - bases[index] }

        /// The count to three decimals, for programs.
        func rounded(_ index: Int) -> Double { (count(index) * 1_000).rounded() / 1_000 }
    }

    /// The names of all layers, from the lowest to the highest.
    private static let names =
        [TaskState.succeeded, .running, .canceled, .abandoned, .failed].map(\.rawValue) + [superseded]
    private static let superseded = "superseded"

    private func name(_ kind: ExecutionTimeline.Kind) -> String {
        kind.isCounted ? TaskState(kind.outcome).shown(in: jobState).rawValue : Self.superseded
    }

    /// The layers with executions.
    private func layers(_ timeline: ExecutionTimeline) -> [Layer] {
        var sums: [String: [Double]] = [:]
        for (kind, counts) in timeline.working {
            let sum = sums[name(kind)]
            sums[name(kind)] = sum.map { zip($0, counts).map { $0 + $1 } } ?? counts
        }
        var bases = Array(repeating: 0.0, count: timeline.bounds.count)
        return Self.names.compactMap { name in
            guard let counts = sums[name] else { return nil }
            let tops = zip(bases, counts).map { $0 + max(0, $1) }
            defer { bases = tops }
            return Layer(name: name, bases: bases, tops: tops)
        }
    }

    /// The executions that failed in each interval, whether they were retried or not.
    private func failures(_ timeline: ExecutionTimeline) -> [Int64] {
        timeline.ended.reduce(into: Array(repeating: 0, count: timeline.bounds.count)) { sums, entry in
            guard entry.key.outcome == .failed else { return }
            for index in sums.indices { sums[index] += entry.value[index] }
        }
    }

    // MARK: Drawing

    /// Positions of intervals in thousandths of the width.
    private struct Scale {
        let count: Int64

        init(_ timeline: ExecutionTimeline) { count = Int64(timeline.bounds.count) }

        func x(_ index: Int) -> Int64 { Int64(index) * 1_000 / count }

        func width(_ index: Int) -> Int64 { x(index + 1) - x(index) }
    }

    /// With a margin above.
    private func y(_ value: Double, _ top: Double) -> Int64 { 1_000 - Int64((value * 940 / top).rounded()) }

    private func valueText(_ value: Int128, _ top: Double) -> HTML {
        "<text x=\"100%\" y=\"\(SVGText.percent(y(Double(value), top)))\">\(ChartAxis.text(value, unit: nil))</text>"
    }

    private func gridLine(_ value: Int128, _ top: Double) -> HTML {
        let y = SVGText.percent(y(Double(value), top))
        return "<line class=\"grid\" x1=\"0\" x2=\"100%\" y1=\"\(y)\" y2=\"\(y)\"/>"
    }

    private func area(_ layer: Layer, _ scale: Scale, _ top: Double) -> HTML {
        var path = "M0 \(y(layer.tops[0], top))"
        for index in layer.tops.indices {
            path += "V\(y(layer.tops[index], top))H\(scale.x(index + 1))"
        }
        for index in layer.bases.indices.reversed() {
            path += "V\(y(layer.bases[index], top))H\(scale.x(index))"
        }
        return "<path class=\"layer\" data-outcome=\"\(layer.name)\" d=\"\(path)Z\"/>"
    }

    /// The hatching of superseded executions.
    ///
    /// The curves are stretched to the width of the window, which would distort it.
    private func hatching(_ layers: [Layer], _ scale: Scale, _ top: Double) -> HTML? {
        guard let layer = layers.first(where: { $0.name == Self.superseded }) else { return nil }
        return HTML(
            layer.tops.indices.compactMap { index -> HTML? in
                let (upper, lower) = (y(layer.tops[index], top), y(layer.bases[index], top))
                guard lower > upper else { return nil }
                return """
                    <rect x="\(SVGText.percent(scale.x(index)))" y="\(SVGText.percent(upper))" \
                    width="\(SVGText.percent(scale.width(index)))" height="\(SVGText.percent(lower - upper))" fill="url(#hatch-all)"/>
                    """
            })
    }

    /// The numbers of each interval, below the pointer.
    private func hints(
        _ timeline: ExecutionTimeline, _ layers: [Layer], _ failures: [Int64], _ scale: Scale
    ) -> HTML {
        HTML(
            timeline.bounds.indices.map { index in
                let counts = layers.filter { $0.count(index) >= 0.05 }.map {
                    "\(Self.average($0.count(index))) \($0.name)"
                }
                let failed = failures[index] > 0 ? ", \(PageText.number(failures[index])) failed" : ""
                let words = counts.isEmpty ? "nothing at work" : "at work: \(counts.joined(separator: ", "))"
                return """
                    <rect class="hint" x="\(SVGText.percent(scale.x(index)))" width="\(SVGText.percent(scale.width(index)))" height="100%">\
                    \(PageTime.title("\(words)\(failed) · from ", timeline.bounds[index]))</rect>
                    """
            })
    }

    /// The failed executions of each interval, on a line of its own.
    ///
    /// An execution that fails at once has no width in the curves.
    private func strip(_ failures: [Int64], _ scale: Scale) -> HTML {
        let most = Double(failures.max() ?? 1)
        let bars = failures.enumerated().compactMap { index, count -> HTML? in
            guard count > 0 else { return nil }
            // The square root keeps a single failure visible beside thousands.
            let height = max(150, Int64((Double(count) / most).squareRoot() * 1_000))
            return """
                <rect x="\(SVGText.percent(scale.x(index)))" width="\(SVGText.percent(scale.width(index)))" \
                y="\(SVGText.percent(1_000 - height))" height="\(SVGText.percent(height))">\
                <title>\(PageText.number(count)) failed</title></rect>
                """
        }
        return "<span class=\"strip-name\">failed</span><svg class=\"strip\" aria-hidden=\"true\">\(bars)</svg>"
    }

    private func timeTexts(_ timeline: ExecutionTimeline) -> HTML {
        let start = timeline.bounds[0].microseconds
        let span = timeline.end.microseconds - start
        return HTML(
            ChartAxis.times(from: timeline.bounds[0], to: timeline.end).enumerated().compactMap {
                index, tick -> HTML? in
                let x = Int64(Int128(tick.at.microseconds - start) * 1_000 / Int128(span))
                guard (30...970).contains(x) else { return nil }
                return SVGText.tick(tick.text, at: x, isMinor: index % 2 == 1)
            })
    }

    // MARK: Words

    /// A number of executions at work, with one decimal below ten.
    private static func average(_ value: Double) -> String {
        guard value < 9.95 else { return PageText.number(Int64(value.rounded())) }
        let tenths = Int64((value * 10).rounded())
        return tenths % 10 == 0 ? "\(tenths / 10)" : "\(tenths / 10).\(tenths % 10)"
    }

    private func summary(_ timeline: ExecutionTimeline, _ layers: [Layer], _ failures: [Int64]) -> String {
        let minutes = PageText.duration(
            microseconds: (timeline.end.microseconds - timeline.bounds[0].microseconds) / Int64(timeline.bounds.count))
        let most = Self.average(layers.last?.tops.max() ?? 0)
        let failed = PageText.number(failures.reduce(0, +))
        return
            "executions at work, in intervals of \(minutes): \(most) at most, on average of an interval; \(failed) failed"
    }

    /// The counts of each interval.
    var csv: CSVText {
        let names = Self.names
        var text = CSVText(["from"] + names.map { "\($0)_at_work" } + ["failed"])
        guard let timeline else { return text }
        let layers = layers(timeline)
        let failures = failures(timeline)
        for index in timeline.bounds.indices {
            let counts = names.map { name in layers.first { $0.name == name }.map { String($0.rounded(index)) } ?? "0" }
            text.append([CSVText.time(timeline.bounds[index])] + counts + [String(failures[index])])
        }
        return text
    }

    /// The counts of each interval as JSON, with the same numbers.
    var json: LedgerResponse {
        let layers = timeline.map { self.layers($0) } ?? []
        let failures = timeline.map { self.failures($0) } ?? []
        return .json(headers: Page.headers()) { writer in
            writer.object { writer in
                writer.name("intervals")
                writer.array((timeline?.bounds ?? []).enumerated()) { writer, interval in
                    writer.object { writer in
                        writer.field("from", RFC3339.text(interval.element))
                        writer.name("at_work")
                        writer.object { writer in
                            for name in Self.names {
                                let layer = layers.first { $0.name == name }
                                writer.field(name, layer?.rounded(interval.offset) ?? 0)
                            }
                        }
                        writer.field("failed", failures[interval.offset])
                    }
                }
                writer.field("to", timeline.map { RFC3339.text($0.end) })
            }
        }
    }
}
