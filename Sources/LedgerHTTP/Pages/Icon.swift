internal import Ledger

/// The icon of a page: a ring with the percentage of the job.
enum Icon {
    /// The colour of each state, which is legible on white and on black.
    static func color(_ state: JobState) -> String {
        switch state {
        case .running: "#2f6fde"
        case .completed: "#1f9254"
        case .failed: "#cf3f3f"
        case .canceled: "#7a7f87"
        }
    }

    /// The address of the icon of a job with this snapshot.
    static func link(_ snapshot: Snapshot, from root: PageRoot) -> String {
        let link = PageLink("\(root.rawValue)pages/icon.svg", [("state", snapshot.state.rawValue)])
        return snapshot.percent.map { link.with("percent", String($0)) }?.text ?? link.text
    }

    static func svg(percent: Int?, state: JobState?) -> HTML {
        let color = state.map(color) ?? "#2f6fde"
        // The ring's radius is 12, its circumference 75.4.
        let arcLength = (percent ?? (state == nil ? 66 : 0)) * 754 / 100
        return """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><circle cx="16" cy="16" r="12" fill="none" \
            stroke="#8a93a2" stroke-opacity=".35" stroke-width="7"/><circle cx="16" cy="16" r="12" fill="none" stroke="\(color)" \
            stroke-width="7" stroke-dasharray="\(arcLength / 10).\(arcLength % 10) 76" transform="rotate(-90 16 16)"/></svg>
            """
    }
}
