internal import Ledger

/// An indicator on a page: its label, a bar and its numbers.
///
/// `Files/indicators.js` keeps it up to date.
struct IndicatorRow {
    let indicator: Snapshot.Indicator
    let state: JobState
    let now: Timestamp
    /// The address of its explanation.
    let link: String
    var isSelected = false

    var html: HTML {
        let status = indicator.status(in: state, at: now)
        return """
            <li class="indicator" data-label="\(indicator.label ?? "")" data-status="\(status.rawValue)">\
            <a class="label" href="\(link)"\(isSelected ? " aria-current=\"true\"" as HTML : "")>\(HTML.label(indicator.label))</a>\
            \(Self.bar(indicator.percent, "\(indicator.label?.text ?? "default"): \(Self.words(indicator))"))\
            <span class="percent">\(PageText.percent(indicator.percent))</span>\
            <span class="count"><span class="done">\(PageText.number(indicator.counted.done))</span>\
            <span class="total">\(Self.total(indicator))</span></span>\
            <span class="rate"></span>\
            <span class="note">\(Self.note(indicator, status, state, now))</span></li>
            """
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
        guard let percent = indicator.percent else {
            return indicator.counted.done == 0 ? "nothing declared" : "\(indicator.counted.done) done, total unknown"
        }
        return "\(indicator.counted.done) of \(indicator.counted.total), \(percent) percent"
    }

    static func total(_ indicator: Snapshot.Indicator) -> String {
        indicator.counted.total == 0 ? "" : "\u{2009}/\u{2009}\(PageText.number(indicator.counted.total))"
    }

    /// A note about a status that the numbers do not show; empty if there is none.
    static func note(
        _ indicator: Snapshot.Indicator, _ status: Snapshot.Indicator.Status, _ state: JobState, _ now: Timestamp
    ) -> String {
        let silence = now.microseconds - indicator.updatedAt.microseconds
        let isSilent = state == .running && silence > Snapshot.Indicator.stalledAfter
        let silent = isSilent ? " · no report for \(PageText.age(microseconds: silence))" : ""
        switch status {
        case .empty: return "no units declared\(silent)"
        case .unknown: return "total unknown\(silent)"
        case .waiting: return isSilent ? "none done yet\(silent)" : ""
        case .over:
            return "\(PageText.number(indicator.counted.done - indicator.counted.total)) more than declared"
        case .stalled: return "stalled: no report for \(PageText.age(microseconds: silence))"
        case .moving, .complete: return ""
        }
    }
}
