internal import Ledger
internal import LedgerStore
internal import LedgerWire

/// A badge with the name and percentage of a job, to embed in other pages.
enum Badge {
    static func svg(_ view: JobView) -> HTML {
        let name = short(PageText.visible(view.description.name.text))
        let state = view.snapshot.state
        let figure = view.snapshot.percent.map { "\($0)%" }
        let words =
            switch state {
            case .running:
                ([figure ?? "running"]
                    + (RemainingText.text(view.estimate, now: view.estimate?.at ?? view.createdAt).map { [$0] } ?? []))
                    .joined(separator: " ")
            case .completed, .failed, .canceled: figure.map { "\(state.rawValue) \($0)" } ?? state.rawValue
            }
        // Fonts differ, so the text is stretched to a given width: 6.6 for each character.
        let left = width(name) + 12
        let right = width(words) + 12
        let filled = state == .running ? right * (view.snapshot.percent ?? 0) / 100 : right
        return """
            <svg xmlns="http://www.w3.org/2000/svg" width="\(left + right)" height="20" role="img" aria-label="\(name): \(words)">\
            <title>\(name): \(words)</title><clipPath id="r"><rect width="\(left + right)" height="20" rx="4"/></clipPath>\
            <g clip-path="url(#r)"><rect width="\(left)" height="20" fill="#3b4048"/><rect x="\(left)" width="\(right)" height="20" fill="#5d646f"/>\
            <rect x="\(left)" width="\(filled)" height="20" fill="\(Icon.color(state))"/></g>\
            <g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11"><text x="6" y="14" textLength="\(width(name))" lengthAdjust="spacingAndGlyphs">\(name)</text>\
            <text x="\(left + 6)" y="14" textLength="\(width(words))" lengthAdjust="spacingAndGlyphs">\(words)</text></g></svg>
            """
    }

    private static func width(_ text: String) -> Int { text.count * 66 / 10 + 1 }

    /// Characters of a name, at most: a wider badge does not fit into a page.
    private static let lengthMax = 40

    private static func short(_ text: String) -> String {
        text.count <= lengthMax ? text : text.prefix(lengthMax - 1) + "…"
    }
}
