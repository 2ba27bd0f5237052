internal import Ledger

/// A chart of an indicator: total and done over time, with every decrease.
struct ChartSection {
    let label: Name?
    /// Nil if the history is too long to draw it without a request.
    let history: IndicatorHistory?
    /// The sequence that the page shows; nil for the present.
    let moment: Int64?
    let link: PageLink
    /// The estimate of the job, which is drawn as a fan; nil for none.
    var estimate: JobEstimate?

    var html: HTML {
        let title: HTML = "<h2>\(HTML.label(label)) over time</h2>"
        guard let history else {
            return """
                <section id="chart" data-drawn="no">\(title)<p class="empty"><a href="\(link.with("draw", "1").text)#chart">Draw the chart</a></p></section>
                """
        }
        guard let first = history.points.first, let last = history.points.last else {
            return
                "<section id=\"chart\" data-drawn=\"yes\">\(title)<p class=\"empty\">Nothing counted yet.</p></section>"
        }
        let fan = fan(from: last)
        let scale = Scale(history, from: first, to: fan?.present ?? last.at, until: fan?.latest ?? last.at)
        let marks = history.points.filter { $0.cause != nil }.suffix(Self.marksMax).map { mark($0, scale) }
        return """
            <section id="chart" data-drawn="yes" data-sequence="\(history.sequence)">\(title)
            <figure><p class="scale" aria-hidden="true"><span>\(PageText.number(scale.top))</span></p><svg class="plot" role="group" aria-label="\(summary(history, last))">\
            <svg class="curves" viewBox="0 0 1000 1000" preserveAspectRatio="none" aria-hidden="true">\
            <path class="area" d="\(path(history, scale, closes: true) { $0.done })"/>\
            \(fan.map { paths($0, from: last, scale) })\
            <path class="total" d="\(path(history, scale, closes: false) { $0.total })"/>\
            <path class="done" d="\(path(history, scale, closes: false) { $0.done })"/></svg>\
            \(cursor(history, scale))\(marks)</svg>
            <figcaption><span class="left">\(PageText.time(first.at, withDay: true))</span>\
            <span class="keys"><span class="key total">total</span><span class="key done">done</span><span class="key decrease">decrease</span></span>\
            <span class="right">\(PageText.time(fan?.latest ?? last.at, withDay: true))</span></figcaption></figure>\(decreases(history))</section>
            """
    }

    /// The maximum number of marks; more would overlap.
    private static let marksMax = 200
    /// The number of latest decreases that are listed in words as well.
    private static let decreasesMax = 5

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
            present: max(last.at, estimate.at), earliest: estimate.finish(after: remaining.p10),
            middle: estimate.finish(after: remaining.p50),
            latest: estimate.finish(after: remaining.p90))
    }

    private func paths(_ fan: Fan, from last: IndicatorHistory.Point, _ scale: Scale) -> HTML {
        let (x, y, top) = (scale.x(fan.present), scale.y(last.counted.done), scale.y(last.counted.total))
        return """
            <path class="fan" d="M\(x) \(y)L\(scale.x(fan.earliest)) \(top)H\(scale.x(fan.latest))Z"/>\
            <path class="expected" d="M\(x) \(y)L\(scale.x(fan.middle)) \(top)"/>
            """
    }

    /// Coordinates of a point, in thousandths of the width and the height.
    private struct Scale {
        let start: Int64
        let span: Int64
        let top: Int128
        /// The end of the curves.
        let end: Int64

        init(
            _ history: IndicatorHistory, from first: IndicatorHistory.Point, to present: Timestamp,
            until latest: Timestamp
        ) {
            start = first.at.microseconds
            let past = max(1, present.microseconds - start)
            span = max(past, latest.microseconds - start)
            end = Int64(Int128(past) * 1_000 / Int128(span))
            top = max(1, history.points.reduce(0) { max($0, $1.counted.total, $1.counted.done) })
        }

        func x(_ at: Timestamp) -> Int64 { Int64(Int128(at.microseconds - start) * 1_000 / Int128(span)) }
        /// With a margin above.
        func y(_ value: Int128) -> Int64 { 1_000 - Int64(value * 940 / top) }
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
        let words = PageText.cause(cause)
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

    private func percent(_ thousandths: Int64) -> String {
        "\(thousandths / 10).\(thousandths % 10)%"
    }

    private func decreases(_ history: IndicatorHistory) -> HTML? {
        let decreases = history.points.filter { $0.cause != nil }
        guard !decreases.isEmpty else { return nil }
        let rows = decreases.suffix(Self.decreasesMax).reversed().map { point in
            HTML(
                "<li><a href=\"\(momentLink(point.sequence))\">\(PageText.clock(point.at))</a> \(point.cause.map(PageText.cause) ?? "")</li>"
            )
        }
        let rest = decreases.count - rows.count
        return "<ul class=\"decreases\">\(rows)\(rest > 0 ? HTML("<li>and \(rest) earlier</li>") : "")</ul>"
    }

    private func momentLink(_ sequence: Int64) -> String {
        link.without("before", "cursor").with("at_sequence", String(sequence)).text
    }

    private func summary(_ history: IndicatorHistory, _ last: IndicatorHistory.Point) -> String {
        let decreaseCount = history.points.count { $0.cause != nil }
        return "\(last.counted.done) of \(last.counted.total) done at the end; \(decreaseCount) decreases"
    }
}
