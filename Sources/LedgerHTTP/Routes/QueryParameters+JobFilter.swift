internal import Ledger

extension Route.Parameter {
    static let search = Route.Parameter(
        name: "search", type: .string,
        description:
            "Only jobs with this text in the name, or with this key. The search in names ignores the case of letters and "
            + "does not normalise: a composed and a decomposed é are different")

    /// The parameters that select jobs in a list.
    static let jobFilters: [Route.Parameter] = [
        .init(
            name: "state", type: .choice(JobState.allCases.map(\.rawValue)),
            description: "Only jobs in this state; repeat it for several states", isRepeatable: true),
        .init(name: "name", type: .string, description: "Only jobs with this name"),
        .search,
        .init(name: "tag.", type: .prefix, description: "tag.K=V: only jobs with the value V in the tag K"),
        .init(
            name: "created_from", type: .moment,
            description: "Only jobs created at this time or later, by the milliseconds in their ids"),
        .init(
            name: "created_before", type: .moment,
            description: "Only jobs created before this time, by the milliseconds in their ids"),
        .init(
            name: "replays", type: .choice(QueryParameters.Flag.allCases.map(\.rawValue)),
            description:
                "false: without the jobs that track the ledger's own replays, which have the name replay and exactly the "
                + "tags policy and job"),
    ]
}

extension QueryParameters {
    /// The filter in the parameters of ``Route/Parameter/jobFilters``.
    func jobFilter() throws(HTTPProblem) -> JobFilter {
        var filter = JobFilter(
            name: try name("name"), tags: try names(withPrefix: "tag."), search: try name("search"))
        filter.states = try choices("state", JobState.self)
        filter.createdFrom = try moment("created_from")
        filter.createdBefore = try moment("created_before")
        filter.includesReplays = try choice("replays", Flag.self) != .false
        return filter
    }
}
