internal import Ledger

/// A chart of an indicator: total and done over time, with every decrease.
struct ChartSection {
    let label: Name?
    /// The labels of all indicators, among which the viewer may choose.
    let choices: [Name?]
    /// Nil if the history is too long to draw it without a request.
    let history: IndicatorHistory?
    /// The number of events of the job.
    let eventCount: Int64
    /// The unit of the indicator.
    let unit: Name?
    /// The sequence that the page shows; nil for the present.
    let moment: EventSequence?
    /// The time until which the numbers are known: now, or the end of the job.
    let present: Timestamp
    let links: JobLinks
    let link: PageLink
    /// The estimate of the job, which is drawn as a fan; nil for none.
    var estimate: JobEstimate?

    var html: HTML {
        guard !choices.isEmpty else { return "<section id=\"chart\" data-drawn=\"yes\" hidden></section>" }
        guard let history else {
            return """
                <section id="chart" data-drawn="no">\(heading)<p class="empty"><a href="\(link.with("draw", "1").text)#chart">Draw the chart</a> \
                <small>reads \(PageText.number(eventCount)) events</small></p></section>
                """
        }
        guard let first = history.points.first, let last = history.points.last else {
            return
                "<section id=\"chart\" data-drawn=\"yes\">\(heading)<p class=\"empty\">Nothing counted yet.</p></section>"
        }
        let fan = fan(from: last)
        let now = max(last.at, present)
        let scale = Scale(history, from: first, to: fan?.present ?? now, until: fan?.latest ?? now)
        let marks = history.points.filter { $0.cause != nil }.suffix(Self.marksMax).map { mark($0, scale) }
        let ticks = ChartAxis.values(to: scale.top, unit: unit)
        return """
            <section id="chart" data-drawn="yes" data-sequence="\(history.sequence)">\(heading)\
            <figure><div class="axes"><svg class="values" aria-hidden="true">\(ticks.map { valueText($0, scale) })</svg>\
            <svg class="plot" role="group" aria-label="\(summary(history, last))">\
            \(ticks.map { gridLine($0, scale) })\
            <svg class="curves" viewBox="0 0 1000 1000" preserveAspectRatio="none" aria-hidden="true">\
            <path class="area" d="\(path(history, scale, closes: true) { $0.done })"/>\
            \(fan.map { paths($0, from: last, scale) })\
            <path class="total" d="\(path(history, scale, closes: false) { $0.total })"/>\
            <path class="done" d="\(path(history, scale, closes: false) { $0.done })"/></svg>\
            \(fan.map { presentLine($0, scale) })\(cursor(history, scale))\(marks)</svg>\
            <svg class="times" aria-hidden="true"\(ChartAxis.span(from: scale.start, to: scale.latest))>\(timeTexts(scale, fan))</svg></div>
            <figcaption><span class="left">\(PageTime.second(first.at))</span>\
            <span class="keys"><span class="key done">done</span><span class="key total">total</span>\(keys(history, fan))</span>\
            <span class="right">\(PageTime.second(fan?.latest ?? now))</span></figcaption></figure>\(decreases(history))</section>
            """
    }

    /// The title, the choice of the indicator, and the data.
    private var heading: HTML {
        let json = links.api("history", [("label", label?.text ?? ""), ("points", String(Self.pointsMax))])
        let exports = PageParts.exports(
            csv: link.with("chart", label?.text ?? "").with("draw", "1").with("part", "chart").with("as", "csv").text,
            json: json)
        return """
            <div class="heading"><h2>\(HTML.label(label)) over time</h2>\(choice)\(exports)</div>
            """
    }

    /// The maximum number of points.
    static let pointsMax = 300
    /// The maximum number of indicators to choose from.
    ///
    /// The explanation of another one draws it too.
    private static let choicesMax = 1_000

    private var choice: HTML? {
        guard choices.count > 1 else { return nil }
        let options = choices.prefix(Self.choicesMax).map { choice in
            HTML(
                "<option value=\"\(choice?.text ?? "")\"\(choice == label ? " selected" as HTML : "")>\(choice.map { PageText.visible($0.text) } ?? "default")</option>"
            )
        }
        return """
            <form class="filters" action="\(link.path)#chart">\(link.without("chart").hiddenFields)\
            <label>Indicator <select name="chart" data-keeps-empty>\(options)</select></label><button>Draw</button></form>
            """
    }

    /// The maximum number of marks; more would overlap.
    private static let marksMax = 200
    /// The number of latest decreases that are listed in words as well.
    private static let decreasesMax = 5

    // MARK: The fan

    /// The predicted ends of the job.
    private struct Fan {
        /// The time of the prediction, at which the fan begins.
        let present: Timestamp
        let earliest: Timestamp
        let middle: Timestamp
        let latest: Timestamp
    }

    /// The fan of an indicator with units left; nil without a prediction.
    private func fan(from last: IndicatorHistory.Point) -> Fan? {
        guard moment == nil, let estimate, let remaining = estimate.estimate.remaining,
            last.counted.done < last.counted.total
        else { return nil }
        return Fan(
            present: max(last.at, present), earliest: estimate.finish(after: remaining.p10),
            middle: estimate.finish(after: remaining.p50),
            latest: max(present, estimate.finish(after: remaining.p90)))
    }

    private func paths(_ fan: Fan, from last: IndicatorHistory.Point, _ scale: Scale) -> HTML {
        let (x, y, top) = (scale.x(fan.present), scale.y(last.counted.done), scale.y(last.counted.total))
        return """
            <path class="fan" d="M\(x) \(y)L\(max(x, scale.x(fan.earliest))) \(top)H\(scale.x(fan.latest))Z"/>\
            <path class="expected" d="M\(x) \(y)L\(max(x, scale.x(fan.middle))) \(top)"/>
            """
    }

    private func presentLine(_ fan: Fan, _ scale: Scale) -> HTML {
        let x = percent(scale.x(fan.present))
        return "<line class=\"now\" x1=\"\(x)\" x2=\"\(x)\" y1=\"0\" y2=\"100%\"/>"
    }

    // MARK: Axes

    /// Coordinates of a point, in thousandths of the width and the height.
    private struct Scale {
        let start: Timestamp
        let span: Int64
        let top: Int128
        /// The end of the curves.
        let end: Int64
        /// The end of the time axis.
        var latest: Timestamp { Timestamp(microseconds: start.microseconds + span) }

        init(
            _ history: IndicatorHistory, from first: IndicatorHistory.Point, to present: Timestamp,
            until latest: Timestamp
        ) {
            start = first.at
            let past = max(1, present.microseconds - start.microseconds)
            span = max(past, latest.microseconds - start.microseconds)
            end = Int64(Int128(past) * 1_000 / Int128(span))
            top = max(1, history.points.reduce(0) { max($0, $1.counted.total, $1.counted.done) })
        }

        func x(_ at: Timestamp) -> Int64 {
            Int64(Int128(at.microseconds - start.microseconds) * 1_000 / Int128(span))
        }
        /// With a margin above.
        func y(_ value: Int128) -> Int64 { 1_000 - Int64(value * 940 / top) }
    }

    private func valueText(_ value: Int128, _ scale: Scale) -> HTML {
        "<text x=\"100%\" y=\"\(percent(scale.y(value)))\">\(ChartAxis.text(value, unit: unit))</text>"
    }

    private func gridLine(_ value: Int128, _ scale: Scale) -> HTML {
        let y = percent(scale.y(value))
        return "<line class=\"grid\" x1=\"0\" x2=\"100%\" y1=\"\(y)\" y2=\"\(y)\"/>"
    }

    /// The thousandths between `now` and another text of the time axis, at least.
    private static let textRoom: Int64 = 150

    private func timeTexts(_ scale: Scale, _ fan: Fan?) -> HTML {
        let now = fan.map { scale.x($0.present) }
        let texts = ChartAxis.times(from: scale.start, to: scale.latest).enumerated().compactMap {
            index, tick -> HTML? in
            let x = scale.x(tick.at)
            guard (30...970).contains(x), now.map({ abs($0 - x) >= Self.textRoom }) ?? true else { return nil }
            return SVGText.tick(tick.text, at: x, isMinor: index % 2 == 1)
        }
        return HTML(texts + (now.map { ["<text class=\"now\" x=\"\(percent($0))\" y=\"1em\">now</text>"] } ?? []))
    }

    private func path(
        _ history: IndicatorHistory, _ scale: Scale, closes: Bool, _ value: (Units) -> Int128
    ) -> String {
        var path = ""
        for point in history.points {
            let (x, y) = (scale.x(point.at), scale.y(value(point.counted)))
            path += path.isEmpty ? (closes ? "M\(x) 1000V\(y)" : "M\(x) \(y)") : "H\(x)V\(y)"
        }
        return path + (closes ? "H\(scale.end)V1000Z" : "H\(scale.end)")
    }

    private func mark(_ point: IndicatorHistory.Point, _ scale: Scale) -> HTML {
        guard let cause = point.cause else { return "" }
        let words = PageText.cause(cause, unit: unit)
        return """
            <a href="\(momentLink(point.sequence))" aria-label="\(words)"><circle class="decrease" cx="\(percent(scale.x(point.at)))" \
            cy="\(percent(scale.y(point.counted.done)))" r="5"><title>\(words)</title></circle></a>
            """
    }

    private func cursor(_ history: IndicatorHistory, _ scale: Scale) -> HTML? {
        guard let moment, let point = history.points.last(where: { $0.sequence <= moment }) else { return nil }
        let x = percent(scale.x(point.at))
        return "<line class=\"cursor\" x1=\"\(x)\" x2=\"\(x)\" y1=\"0\" y2=\"100%\"/>"
    }

    private func percent(_ thousandths: Int64) -> String { SVGText.percent(thousandths) }

    // MARK: Words

    private func keys(_ history: IndicatorHistory, _ fan: Fan?) -> HTML {
        let decrease: HTML? =
            history.points.contains { $0.cause != nil } ? "<span class=\"key decrease\">decrease</span>" : nil
        return "\(fan == nil ? nil : "<span class=\"key expected\">expected</span>" as HTML)\(decrease)"
    }

    private func decreases(_ history: IndicatorHistory) -> HTML? {
        let decreases = history.points.filter { $0.cause != nil }
        guard !decreases.isEmpty else { return nil }
        let rows = decreases.suffix(Self.decreasesMax).reversed().map { point in
            HTML(
                "<li><a href=\"\(momentLink(point.sequence))\">\(PageTime.second(point.at, near: present))</a> \(point.cause.map { PageText.cause($0, unit: unit) } ?? "")</li>"
            )
        }
        let rest = decreases.count - rows.count
        return "<ul class=\"decreases\">\(rows)\(rest > 0 ? HTML("<li>and \(rest) earlier</li>") : "")</ul>"
    }

    private func momentLink(_ sequence: EventSequence) -> String {
        link.without("before", "cursor").with("at_sequence", sequence.description).text
    }

    private func summary(_ history: IndicatorHistory, _ last: IndicatorHistory.Point) -> String {
        let decreaseCount = history.points.count { $0.cause != nil }
        return "\(last.counted.done) of \(last.counted.total) done at the end; \(decreaseCount) decreases"
    }

    /// The points of the chart.
    var csv: CSVText {
        var text = CSVText(["sequence", "at", "total", "done", "cause"])
        for point in history?.points ?? [] {
            text.append([
                point.sequence.description, CSVText.time(point.at), String(point.counted.total),
                String(point.counted.done),
                point.cause.map { "\($0.task.text) restarted, \(PageText.execution($0.execution))" },
            ])
        }
        return text
    }
}

/// The texts of numbers in SVG.
enum SVGText {
    /// A length as a percentage, from thousandths.
    static func percent(_ thousandths: Int64) -> String { "\(thousandths / 10).\(abs(thousandths % 10))%" }

    /// A vertical line of the grid at a time.
    static func line(at thousandths: Int64) -> HTML {
        let x = percent(thousandths)
        return "<line class=\"grid\" x1=\"\(x)\" x2=\"\(x)\" y1=\"0\" y2=\"100%\"/>"
    }

    /// A text of a time axis; narrow windows do not show minor ones.
    static func tick(_ text: String, at thousandths: Int64, isMinor: Bool) -> HTML {
        let minor: HTML? = isMinor ? " class=\"minor\"" : nil
        return "<text\(minor) x=\"\(percent(thousandths))\" y=\"1em\">\(text)</text>"
    }
}
