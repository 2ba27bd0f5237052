internal import Ledger

/// The bars of a job, stalled ones first and finished ones folded.
///
/// `Files/indicators.js` groups them in the same way.
struct IndicatorList {
    let rows: [IndicatorRow]
    let state: JobState

    /// The number of finished indicators up to which they stay among the others.
    private static let finishedShownMax = 3
    /// The maximum number of other indicators that are not folded.
    private static let openShownMax = 12

    var html: HTML {
        let isComplete = { (row: IndicatorRow) in row.status == .complete }
        let folds = rows.count(where: isComplete) > Self.finishedShownMax
        let finished = folds ? rows.filter(isComplete) : []
        let open = folds ? rows.filter { !isComplete($0) } : rows
        let sorted = open.filter(needsAttention) + open.filter { !needsAttention($0) }
        return """
            <section id="indicators" aria-label="Progress"><ul class="indicators">\(sorted.prefix(Self.openShownMax).map(\.html))</ul>\
            \(fold("more", Array(sorted.dropFirst(Self.openShownMax)), "more"))\(fold("finished", finished, "finished"))\
            <p class="empty"\(rows.isEmpty ? "" as HTML : " hidden")>No units declared\(state == .running ? " yet" : ": nothing to do").</p></section>
            """
    }

    /// Whether a bar comes first.
    ///
    /// It is stalled, or shows the unfinished work of a failed job.
    private func needsAttention(_ row: IndicatorRow) -> Bool {
        row.status == .stalled || state == .failed && row.status != .complete
    }

    /// A list that is folded unless it contains the chosen indicator.
    private func fold(_ name: String, _ rows: [IndicatorRow], _ words: String) -> HTML {
        let isOpen = rows.contains(where: \.isSelected)
        return """
            <details data-key="\(name)"\(rows.isEmpty ? " hidden" as HTML : "")\(isOpen ? " open" as HTML : "")>\
            <summary><span class="count">\(PageText.number(rows.count))</span> \(words)</summary>\
            <ul class="indicators">\(rows.map(\.html))</ul></details>
            """
    }
}
