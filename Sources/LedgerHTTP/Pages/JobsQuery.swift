internal import Ledger
internal import LedgerWire

/// The choices of a viewer of the list of jobs, in the parameters of the page.
struct JobsQuery: Sendable {
    /// The order of the list.
    enum Sort: String, CaseIterable, Sendable {
        case newest, oldest, urgency, name, progress, changed

        /// The order of the pages; nil for an order within one page.
        ///
        /// Only the order of the ids has an index. For any other order, the newest jobs are sorted.
        var order: JobFilter.Order? {
            switch self {
            case .newest: .newest
            case .oldest: .oldest
            case .urgency, .name, .progress, .changed: nil
            }
        }

        var title: String {
            switch self {
            case .newest: "newest first"
            case .oldest: "oldest first"
            case .urgency: "problems first"
            case .name: "by name"
            case .progress: "by progress"
            case .changed: "last event first"
            }
        }

        /// Sorts jobs; those that the order does not distinguish stay newest first.
        func sort(_ views: [JobView], now: Timestamp) -> [JobView] {
            func by<Key: Comparable>(_ key: (JobView) -> Key) -> [JobView] {
                let keyed = views.sorted { $0.id > $1.id }.map { (key: key($0), view: $0) }
                return keyed.enumerated().sorted { ($0.element.key, $0.offset) < ($1.element.key, $1.offset) }
                    .map(\.element.view)
            }
            return switch self {
            case .newest: views.sorted { $0.id > $1.id }
            case .oldest: views.sorted { $0.id < $1.id }
            case .urgency: by { JobUrgency($0, now: now) }
            case .name: by { $0.description.name.text.lowercased() }
            case .progress: by { $0.snapshot.percent ?? -1 }
            case .changed: by { -($0.snapshot.updatedAt ?? $0.createdAt).microseconds }
            }
        }
    }

    /// The time within which jobs were created.
    enum Period: String, CaseIterable, Sendable {
        case hour, day, week, month

        var title: String {
            switch self {
            case .hour: "the last hour"
            case .day: "the last 24 hours"
            case .week: "the last 7 days"
            case .month: "the last 30 days"
            }
        }

        /// The time at which it begins, rounded down to a minute.
        ///
        /// So viewers within one minute share a stream.
        func start(now: Timestamp) -> Timestamp {
            let hours: Int64 =
                switch self {
                case .hour: 1
                case .day: 24
                case .week: 7 * 24
                case .month: 30 * 24
                }
            let minute: Int64 = 60_000_000
            return Timestamp(microseconds: (now.microseconds - hours * 60 * minute) / minute * minute)
        }
    }

    var filter: JobFilter
    /// The tag in the filter, `NAME=VALUE`; empty for none.
    let tag: String
    let period: Period?
    let sort: Sort
    /// The job after which the page begins, in its order.
    var cursor: JobID?
    /// The job before which the page ends, in its order.
    let end: JobID?

    /// The parameters, in the order of the page's own address.
    static let parameters: [Route.Parameter] = [
        .init(name: "search", type: .string, description: "A part of the name, or the whole key or id"),
        .init(
            name: "state", type: .string, description: "Only jobs in this state; repeat it for several states",
            isRepeatable: true),
        .init(name: "tag", type: .string, description: "Only jobs with this tag: NAME=VALUE"),
        .init(
            name: "created", type: .string,
            description: "Only jobs created within the last hour, day, week or month"),
        .init(name: "replays", type: .string, description: "true: also the jobs that track the ledger's own replays"),
        .init(
            name: "sort", type: .string,
            description: "The order: \(Sort.allCases.map(\.rawValue).joined(separator: ", ")); newest by default"),
        .init(name: "cursor", type: .string, description: "Only jobs after this one, in the order of the page"),
        .init(name: "end", type: .string, description: "Redirects to the page that ends before this job"),
    ]

    init(_ parameters: PageParameters, now: Timestamp) throws(HTTPProblem) {
        filter = JobFilter(search: try parameters.name("search"))
        filter.states = try parameters.choices("state", JobState.self)
        tag = parameters["tag"] ?? ""
        if !tag.isEmpty {
            guard let separator = tag.firstIndex(of: "="), separator != tag.startIndex else {
                throw HTTPProblem.invalid(parameter: "tag", "must be NAME=VALUE")
            }
            filter.tags[Name(String(tag[..<separator]))] = Name(String(tag[tag.index(after: separator)...]))
        }
        period = try parameters.choice("created", Period.self)
        filter.createdFrom = period?.start(now: now)
        filter.includesReplays = try parameters.flag("replays")
        sort = try parameters.choice("sort", Sort.self) ?? .newest
        cursor = try Self.job("cursor", parameters)
        end = try Self.job("end", parameters)
        if sort.order == nil, cursor != nil || end != nil {
            throw HTTPProblem.invalid(parameter: "cursor", "cannot be given with this order")
        }
    }

    private static func job(_ name: String, _ parameters: PageParameters) throws(HTTPProblem) -> JobID? {
        guard let text = parameters[name] else { return nil }
        guard let id = JobID(text) else { throw .invalid(parameter: name, "is not a job's id") }
        return id
    }

    /// The address of a stream of these jobs.
    func watch(limit: Int) -> PageLink {
        var link = PageLink("./v1/watch", [("limit", String(limit))])
        for state in filter.orderedStates { link = link.adding("state", state.rawValue) }
        if let search = filter.search { link = link.adding("search", search.text) }
        for (name, value) in filter.tags { link = link.adding("tag.\(name)", value.text) }
        if let from = filter.createdFrom { link = link.adding("created_from", RFC3339.text(from)) }
        if let before = filter.createdBefore { link = link.adding("created_before", RFC3339.text(before)) }
        if !filter.includesReplays { link = link.adding("replays", "false") }
        if let cursor { link = link.adding("cursor", cursor.description) }
        return link
    }
}
