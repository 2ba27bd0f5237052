internal import Ledger
internal import LedgerStore

/// The executions behind an indicator's numbers: those that do not count, or all.
struct ExplanationSection {
    let explanation: Explanation
    /// Whether it contains only the executions with units that do not count.
    let onlyUncounted: Bool
    let unit: Name?
    let links: JobLinks
    let link: PageLink

    /// The parameters of the page that this section reads.
    static let parameters = ["indicator", "from", "executions"]

    private var indicator: IndicatorState { explanation.indicator }

    var html: HTML {
        let line: [(String, Units)] = [
            ("received", indicator.received), ("counted", indicator.counted), ("superseded", indicator.superseded),
            ("discarded", indicator.discarded),
        ]
        let signs = ["", "=", "+", "+"]
        let terms = zip(line, signs).map { term, sign in
            HTML("\(sign) <span><b>\(shown(term.1))</b> \(term.0)</span> ")
        }
        let next = explanation.nextCursor.map { cursor in
            HTML("<a rel=\"next\" href=\"\(link.with("from", cursor.description).text)#explanation\">Next</a>")
        }
        return """
            <section id="explanation"><div class="heading"><h2>Why \(HTML.label(indicator.label)) shows \(shown(indicator.counted))</h2>\
            \(exports)<a class="close" href="\(link.without("indicator", "from", "executions").text)">Close</a></div>\
            <p class="conservation">\(terms)</p>\(scope)
            <div class="wide" tabindex="0" role="region" aria-label="Explanation"><table class="stacked explanation"><thead><tr><th scope="col">Task</th><th scope="col">Execution</th>\
            <th scope="col" class="number">Superseded</th><th scope="col" class="number">Discarded</th><th scope="col">Reason</th>\
            <th scope="col" class="number">Counted</th></tr></thead><tbody>\
            \(explanation.entries.map(row))\(explanation.entries.isEmpty ? Self.nothing : "")</tbody></table></div>
            <nav class="pages" aria-label="Pages of the explanation">\(next)</nav></section>
            """
    }

    private static let nothing: HTML = "<tr class=\"empty\"><td colspan=\"6\">Everything counts.</td></tr>"

    /// The executions that are shown, and the link to the others.
    private var scope: HTML {
        let uncounted = link.without("from", "executions").text + "#explanation"
        let all = link.without("from").with("executions", "all").text + "#explanation"
        return onlyUncounted
            ? "<p class=\"scope\"><strong>What does not count</strong> · <a href=\"\(all)\">All executions</a></p>"
            : "<p class=\"scope\"><a href=\"\(uncounted)\">What does not count</a> · <strong>All executions</strong></p>"
    }

    private var exports: HTML {
        let json = links.apiAtMoment(
            "explain",
            [
                ("label", indicator.label?.text ?? ""), ("limit", String(JobPageBuilder.entriesOnPage)),
                ("uncounted", onlyUncounted ? "true" : nil),
                ("cursor", link.parameters.first { $0.name == "from" }?.value),
            ])
        return PageParts.exports(csv: link.with("part", "explanation").with("as", "csv").text, json: json)
    }

    private func shown(_ units: Units) -> String {
        "\(PageText.amount(units.done, unit))\u{2009}/\u{2009}\(PageText.amount(units.total, unit))"
    }

    private func row(_ entry: Explanation.Entry) -> HTML {
        // The names are shown where a narrow window has no header.
        func cell(_ name: String, _ units: Units) -> HTML {
            let text: HTML = units == .zero ? "<span class=\"none\">–</span>" : "\(shown(units))"
            return "<td class=\"number\" data-name=\"\(name)\">\(text)</td>"
        }
        let reason = entry.supersededBy.map { HTML("superseded by \(PageText.execution($0))") }
        let discarded: HTML? =
            entry.discarded == .zero ? nil : "\(reason == nil ? "" : "; ")repeated, contradictory or over a limit"
        return """
            <tr data-counts="\(entry.isCounted ? "counted" : "superseded")"><td><a href="\(links.task(entry.task))">\(HTML.name(entry.task))</a></td>\
            <td><span class="attempt">#\(entry.execution.attempt)</span> \(entry.execution.execution.map { HTML.name($0) } ?? "<i>unnamed</i>")</td>\
            \(cell("superseded", entry.superseded))\(cell("discarded", entry.discarded))\
            <td>\(reason)\(discarded)</td>\(cell("counted", entry.counted))</tr>
            """
    }

    /// The executions of the table.
    var csv: CSVText {
        var text = CSVText([
            "task", "execution", "attempt", "counted_done", "counted_total", "superseded_done", "superseded_total",
            "discarded_done", "discarded_total", "superseded_by_attempt",
        ])
        for entry in explanation.entries {
            text.append([
                entry.task.text, entry.execution.execution?.text, String(entry.execution.attempt),
                String(entry.counted.done), String(entry.counted.total), String(entry.superseded.done),
                String(entry.superseded.total), String(entry.discarded.done), String(entry.discarded.total),
                entry.supersededBy.map { String($0.attempt) },
            ])
        }
        return text
    }
}
