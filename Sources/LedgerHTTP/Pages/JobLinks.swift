internal import Ledger

/// The addresses of a job's other pages and of its data, relative to a page.
struct JobLinks: Sendable {
    let root: PageRoot
    let job: JobID
    /// The sequence that the page shows; nil for the present.
    var moment: EventSequence?

    /// The page of the job.
    var page: PageLink { PageLink("\(root.rawValue)jobs/\(job.description)", momentParameters) }

    private var momentParameters: [(name: String, value: String)] {
        moment.map { [("at_sequence", $0.description)] } ?? []
    }

    /// The page of a task.
    func task(_ name: Name) -> String {
        PageLink("\(root.rawValue)jobs/\(job.description)/task", [("name", name.text)] + momentParameters).text
    }

    /// A route of the API about the job.
    func api(_ route: String, _ parameters: [(name: String, value: String?)]) -> String {
        PageLink(
            "\(root.rawValue)v1/jobs/\(job.description)/\(route)",
            parameters.compactMap { entry in entry.value.map { (entry.name, $0) } }
        ).text
    }

    /// A route of the API about the job as of the moment that the page shows.
    func apiAtMoment(_ route: String, _ parameters: [(name: String, value: String?)]) -> String {
        api(route, parameters + momentParameters.map { ($0.name, $0.value) })
    }
}
