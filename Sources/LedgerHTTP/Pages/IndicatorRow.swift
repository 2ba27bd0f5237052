internal import Ledger
internal import LedgerWire

/// An indicator on a page: its label, a bar and its numbers.
///
/// `Files/indicators.js` keeps it up to date.
struct IndicatorRow {
    let indicator: Snapshot.Indicator
    let now: Timestamp
    /// The time of its last advance if it is stalled.
    var stalledSince: Timestamp?
    /// The recent units per second; nil if unknown.
    var rate: Double?
    /// The address of its explanation.
    let link: String
    var isSelected = false

    var status: Snapshot.Indicator.Status { indicator.status(isStalled: stalledSince != nil) }

    var html: HTML {
        """
        <li class="indicator" data-label="\(indicator.label ?? "")" data-status="\(status.rawValue)">\
        <a class="label" href="\(link)"\(isSelected ? " aria-current=\"true\"" as HTML : "")>\(HTML.label(indicator.label))</a>\
        \(Self.bar(indicator.percent, "\(indicator.label?.text ?? "default"): \(Self.words(indicator))"))\
        <span class="percent">\(PageText.percent(indicator.percent))</span>\
        <span class="count"><span class="done">\(PageText.amount(indicator.counted.done, indicator.unit))</span>\
        <span class="total">\(Self.total(indicator))</span><span class="unit">\(PageText.unit(indicator.unit))</span></span>\
        <span class="rate">\(rateText)</span>\
        <span class="note">\(Self.note(indicator, status, stalledSince, now))</span></li>
        """
    }

    /// The recent speed of an indicator that moves.
    private var rateText: String {
        guard status == .moving || status == .unknown, let rate else { return "" }
        return PageText.rate(rate, unit: indicator.unit)
    }

    /// A progress bar, also for screen readers. Without a percentage it has no value.
    static func bar(_ percent: (some BinaryInteger)?, _ words: String) -> HTML {
        let value = percent.map { min(max(Int($0), 0), 100) }
        let now = value.map { HTML(" aria-valuenow=\"\($0)\"") }
        return """
            <div class="bar" role="progressbar" aria-label="\(words)" aria-valuemin="0" aria-valuemax="100"\(now) \
            aria-valuetext="\(words)"><svg aria-hidden="true"><rect class="fill" width="\(value ?? 0)%" height="100%"/></svg></div>
            """
    }

    /// The numbers in words.
    static func words(_ indicator: Snapshot.Indicator) -> String {
        let unit = indicator.unit.map { " \($0.text)" } ?? ""
        guard let percent = indicator.percent else {
            return indicator.counted.done == 0
                ? "nothing declared" : "\(indicator.counted.done)\(unit) done, total unknown"
        }
        return "\(indicator.counted.done) of \(indicator.counted.total)\(unit), \(percent) percent"
    }

    static func total(_ indicator: Snapshot.Indicator) -> String {
        indicator.counted.total == 0
            ? "" : "\u{2009}/\u{2009}\(PageText.amount(indicator.counted.total, indicator.unit))"
    }

    /// The status, if the numbers do not show it, and the newest message.
    static func note(
        _ indicator: Snapshot.Indicator, _ status: Snapshot.Indicator.Status, _ stalledSince: Timestamp?,
        _ now: Timestamp
    ) -> String {
        let message = indicator.message.map { PageText.visible($0.firstLine) } ?? ""
        return [words(indicator, status, stalledSince, now), message].filter { !$0.isEmpty }.joined(separator: ": ")
    }

    private static func words(
        _ indicator: Snapshot.Indicator, _ status: Snapshot.Indicator.Status, _ stalledSince: Timestamp?,
        _ now: Timestamp
    ) -> String {
        switch status {
        case .empty: return "no units declared"
        case .unknown: return "total unknown"
        case .over:
            let more = indicator.counted.done - indicator.counted.total
            return "\(PageText.amount(more, indicator.unit)) more than declared"
        case .stalled:
            return stalledSince.map { "stalled for \(PageText.age(microseconds: now.microseconds - $0.microseconds))" }
                ?? ""
        case .waiting, .moving, .complete: return ""
        }
    }
}
