internal import Ledger
internal import LedgerStore

/// The icon of a page: a ring with the percentage of the job.
enum Icon {
    /// The colour of each state, dark enough for white and light enough for black behind it.
    static func color(_ state: JobState) -> String {
        switch state {
        case .running: "#2f6fde"
        case .completed: "#1f9254"
        case .failed: "#cf3f3f"
        case .canceled: "#7a7f87"
        }
    }

    /// The address of the icon of a job with this snapshot.
    static func link(_ snapshot: Snapshot) -> String {
        let link = PageLink("/pages/icon.svg", [("state", snapshot.state.rawValue)])
        return snapshot.percent.map { link.with("percent", String($0)) }?.text ?? link.text
    }

    static func svg(percent: Int?, state: JobState?) -> HTML {
        let color = state.map(color) ?? "#2f6fde"
        // The ring's radius is 12, its circumference 75.4.
        let way = (percent ?? (state == nil ? 66 : 0)) * 754 / 100
        return """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><circle cx="16" cy="16" r="12" fill="none" \
            stroke="#8a93a2" stroke-opacity=".35" stroke-width="7"/><circle cx="16" cy="16" r="12" fill="none" stroke="\(color)" \
            stroke-width="7" stroke-dasharray="\(way / 10).\(way % 10) 76" transform="rotate(-90 16 16)"/></svg>
            """
    }
}

/// A badge with the name and percentage of a job, to embed in other pages.
enum Badge {
    static func svg(_ view: JobView) -> HTML {
        let name = short(PageText.visible(view.description.name.text))
        let state = view.snapshot.state
        let figure = view.snapshot.percent.map { "\($0)%" }
        let words =
            switch state {
            case .running: figure ?? "running"
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
