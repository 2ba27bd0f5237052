internal import HTTPTypes
internal import Ledger
internal import LedgerStore

/// A valid request to watch a job or a list of jobs.
struct WatchRequest: Sendable {
    var subject: WatchSubscriptionTable.Subject
    /// The position that the client has: its `Last-Event-ID`.
    let position: StreamPosition?
    /// The caller's access.
    var caller = Access.everything

    private static let listSizeDefault: Int64 = 100

    /// The job that is watched; nil for a list of jobs.
    var job: JobID? {
        if case .job(let job) = subject { job } else { nil }
    }

    /// The path of the route.
    var route: String {
        switch subject {
        case .job: WatchRoutes.jobPath
        case .list: WatchRoutes.listPath
        }
    }

    /// The permission that it needs.
    var access: RoutePermission {
        switch subject {
        case .job: .job(.read)
        case .list: .jobs(.read)
        }
    }

    /// Returns the request with its caller.
    ///
    /// A list then contains only jobs within the caller's confinement.
    func confined(to caller: Access) -> WatchRequest {
        var request = self
        request.caller = caller
        if case .list(var list) = subject {
            list.filter = list.filter.confined(to: caller.confinement)
            request.subject = .list(list)
        }
        return request
    }

    /// Reads a request to GET one of the two routes.
    ///
    /// - Parameters:
    ///   - target: The path with the query.
    ///   - lastEventID: The value of `Last-Event-ID`.
    /// - Returns: Nil if it is for another route.
    static func read(
        target: String, lastEventID: @autoclosure () -> String?
    ) throws(HTTPProblem) -> WatchRequest? {
        let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let query = parts.count > 1 ? String(parts[1]) : nil
        let path = parts[0].utf8
        if path.elementsEqual(WatchRoutes.listPath.utf8) {
            let parameters = try QueryParameters(query, WatchRoutes.listParameters)
            return WatchRequest(subject: .list(try list(parameters)), position: nil)
        }
        guard path.starts(with: "/v1/jobs/".utf8), path.dropFirst(9 + 36).elementsEqual("/watch".utf8) else {
            return nil
        }
        let id = String(decoding: path.dropFirst(9).prefix(36), as: UTF8.self)
        guard let job = JobID(id) else { throw .noSuchJob(id) }
        _ = try QueryParameters(query, [])
        // An id that is not from a ledger is ignored; that client gets the present snapshot.
        let position = lastEventID().flatMap { StreamPosition($0) }
        return WatchRequest(subject: .job(job), position: position)
    }

    private static func list(_ parameters: QueryParameters) throws(HTTPProblem) -> WatchSubscriptionTable.List {
        let filter = try parameters.jobFilter()
        let limit = try parameters.integer("limit", in: WatchRoutes.listSizes) ?? listSizeDefault
        var cursor: JobID?
        if let text = parameters["cursor"] {
            guard let id = JobID(text) else { throw .invalid(parameter: "cursor", "is not a job's id") }
            cursor = id
        }
        var list = WatchSubscriptionTable.List(filter: filter, limit: Int(limit), cursor: cursor)
        if let text = parameters["jobs"] {
            list.jobs = try jobs(text)
            list.limit = WatchRoutes.namedJobsMax
        }
        return list
    }

    /// Reads the ids of named jobs.
    private static func jobs(_ text: String) throws(HTTPProblem) -> Set<JobID> {
        let parts = text.split(separator: ",", maxSplits: WatchRoutes.namedJobsMax, omittingEmptySubsequences: false)
        var jobs: Set<JobID> = []
        for part in parts {
            guard let job = JobID(String(part)), parts.count <= WatchRoutes.namedJobsMax else {
                throw .invalid(
                    parameter: "jobs", "must be 1 to \(WatchRoutes.namedJobsMax) ids of jobs, separated by commas")
            }
            jobs.insert(job)
        }
        return jobs
    }
}
