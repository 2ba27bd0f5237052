internal import Ledger
internal import LedgerStore

/// The executions behind an indicator's numbers.
struct ExplanationSection {
    let explanation: Explanation
    let link: PageLink

    var html: HTML {
        let indicator = explanation.indicator
        let line: [(String, Units)] = [
            ("received", indicator.received), ("counted", indicator.counted), ("superseded", indicator.superseded),
            ("discarded", indicator.discarded),
        ]
        let signs = ["", "=", "+", "+"]
        let terms = zip(line, signs).map { term, sign in
            HTML(
                "\(sign) <span><b>\(PageText.number(term.1.done))\u{2009}/\u{2009}\(PageText.number(term.1.total))</b> \(term.0)</span> "
            )
        }
        let next = explanation.nextCursor.map { cursor in
            HTML("<a rel=\"next\" href=\"\(link.with("from", cursor.description).text)#explanation\">Next</a>")
        }
        return """
            <section id="explanation"><h2>Why \(HTML.label(indicator.label)) shows \(PageText.number(indicator.counted.done))\u{2009}/\u{2009}\(PageText.number(indicator.counted.total))</h2>
            <a class="close" href="\(link.without("indicator", "from").text)">Close</a><p class="conservation">\(terms)</p>
            <div class="wide" tabindex="0" role="region" aria-label="Explanation"><table><thead><tr><th scope="col">Task</th><th scope="col">Execution</th><th scope="col" class="number">Attempt</th>\
            <th scope="col" class="number">Counted</th><th scope="col" class="number">Superseded</th>\
            <th scope="col" class="number">Discarded</th><th scope="col">Reason</th></tr></thead><tbody>\
            \(explanation.entries.map(row))</tbody></table></div>
            <nav class="pages" aria-label="Pages of the explanation">\(next)</nav></section>
            """
    }

    private func row(_ entry: Explanation.Entry) -> HTML {
        func units(_ units: Units) -> HTML {
            units == .zero
                ? "<span class=\"none\">–</span>"
                : "\(PageText.number(units.done))\u{2009}/\u{2009}\(PageText.number(units.total))"
        }
        let reason = entry.supersededBy.map { HTML("superseded by \(PageText.execution($0))") }
        return """
            <tr data-counts="\(entry.isCounted ? "counted" : "superseded")"><td>\(HTML.name(entry.task))</td>\
            <td>\(entry.execution.execution.map { HTML.name($0) } ?? "<i>unnamed</i>")</td><td class="number">\(entry.execution.attempt)</td>\
            <td class="number">\(units(entry.counted))</td><td class="number">\(units(entry.superseded))</td>\
            <td class="number">\(units(entry.discarded))</td><td>\(reason)</td></tr>
            """
    }
}
