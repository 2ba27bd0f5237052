public import Ledger
internal import SwiftProtobuf

/// A query of Tilebox's SDK for jobs, translated to filters of the ledger.
///
/// The ledger filters by state, name and id; the page itself filters by time and by the states of tasks. So a page may
/// contain fewer jobs than its limit and still name a next one, as the protocol permits. Each page examines at most
/// ``limit`` jobs.
public struct JobQuery: Sendable {
    /// The maximum and the usual number of jobs of a page.
    private static let limits = (maximum: Int64(1_000), usual: Int64(100))
    /// The range of a valid `google.protobuf.Timestamp`, in seconds.
    private static let seconds = Timestamp.earliest.microseconds / 1_000_000...Timestamp.latest.microseconds / 1_000_000

    /// The filters. The page contains the newest of the jobs that match one of them.
    public private(set) var filters: [JobFilter]
    /// The maximum number of jobs of the page.
    public private(set) var limit: Int
    /// The job after which the page begins, newest first; nil for the newest job.
    public private(set) var cursor: JobID?

    /// The last job in that order; nil for the oldest job.
    private var last: JobID?
    /// The states of which a job must have one; nil for all.
    private var states: Set<Workflows_V1_JobState>?
    /// The states of which a task of the job must have one; nil for all.
    private var taskStates: Set<Workflows_V1_TaskState>?
    private var times: (start: Timestamp, end: Timestamp) = (.earliest, .latest)

    /// Reads a request for `QueryJobs`.
    public init(message: [UInt8]) throws(CallError) {
        let request = try Workflows_V1_QueryJobsRequest(message: message)
        guard request.sortDirection != .ascending else {
            throw CallError(.invalidArgument, "The ledger lists the newest jobs first, and in no other order.")
        }
        let page = request.page
        guard !page.hasLimit || page.limit >= 0 else {
            throw CallError(.invalidArgument, "The limit of the page is negative.")
        }
        let filters = request.filters
        limit = Int(page.limit > 0 ? min(page.limit, Self.limits.maximum) : Self.limits.usual)
        cursor = try JobID(optional: page.startingAfter, "page.starting_after")
        self.filters = []
        if filters.hasIDInterval { try restrict(to: filters.idInterval) }
        if filters.hasTimeInterval { try restrict(to: filters.timeInterval) }
        if !filters.states.isEmpty { states = Set(filters.states) }
        if !filters.taskStates.isEmpty { taskStates = Set(filters.taskStates) }
        let name = Name(filters.name)
        guard !name.containsNUL else { throw CallError(.invalidArgument, "The name contains U+0000.") }
        // The ledger has neither automations nor clusters.
        guard filters.automationIds.isEmpty, filters.clusterSlugs.isEmpty else { return }
        let search = filters.name.isEmpty ? nil : name
        if let states {
            self.filters = Set(states.compactMap(\.jobState)).map { JobFilter(state: $0, search: search) }
        } else {
            self.filters = [JobFilter(search: search)]
        }
    }

    private mutating func restrict(to interval: Tilebox_V1_IDInterval) throws(CallError) {
        last = try JobID(optional: interval.startID, "id_interval.start_id")
        // The highest id stays: no job has it.
        if interval.startExclusive { last = last.map { $0.next ?? $0 } }
        guard let end = try JobID(optional: interval.endID, "id_interval.end_id") else { return }
        // No id is higher than one without a next id.
        guard let bound = interval.endInclusive ? end.next : end else { return }
        cursor = min(cursor ?? bound, bound)
    }

    private mutating func restrict(to interval: Tilebox_V1_TimeInterval) throws(CallError) {
        if interval.hasStartTime {
            times.start = try Self.timestamp(interval.startTime).adding(interval.startExclusive ? 1 : 0)
        }
        if interval.hasEndTime {
            times.end = try Self.timestamp(interval.endTime).adding(interval.endInclusive ? 0 : -1)
        }
        // An id begins with the milliseconds of its creation.
        let bound = JobID(startOf: times.end.adding(1_000))
        cursor = min(cursor ?? bound, bound)
        let first = JobID(startOf: times.start)
        last = max(last ?? first, first)
    }

    private static func timestamp(_ time: Google_Protobuf_Timestamp) throws(CallError) -> Timestamp {
        guard seconds.contains(time.seconds), (0..<1_000_000_000).contains(time.nanos) else {
            throw CallError(.invalidArgument, "A time is not valid.")
        }
        return Timestamp(microseconds: time.seconds * 1_000_000 + Int64(time.nanos / 1_000))
    }

    /// Makes the response from the jobs that the filters have found.
    ///
    /// - Parameters:
    ///   - found: For each filter, its newest jobs after ``cursor``, at most ``limit``.
    ///   - now: The time for the duration of running jobs.
    public func response(_ found: [JobView], now: Timestamp) -> [UInt8] {
        var examined: [JobView] = []
        // A job that changes its state between two queries is found twice.
        for view in found.sorted(by: { $0.id > $1.id }) where view.id != examined.last?.id { examined.append(view) }
        examined = Array(examined.prefix(limit))
        var response = Workflows_V1_QueryJobsResponse()
        response.jobs = examined.lazy.filter(matches).map { Workflows_V1_Job($0, now: now) }
        if examined.count == limit, let end = examined.last?.id, last.map({ end > $0 }) ?? true {
            response.nextPage.limit = Int64(limit)
            response.nextPage.startingAfter.uuid = end.data
        }
        return response.bytes
    }

    private func matches(_ view: JobView) -> Bool {
        guard last.map({ view.id >= $0 }) ?? true, times.start <= view.createdAt, view.createdAt <= times.end,
            states?.contains(Workflows_V1_JobState(view.snapshot)) ?? true
        else { return false }
        guard let taskStates else { return true }
        return view.snapshot.tasks.byTileboxState.contains { taskStates.contains($0.state) && $0.count > 0 }
    }
}

extension Workflows_V1_JobState {
    /// The state of the ledger that includes this one; nil if none does.
    fileprivate var jobState: JobState? {
        switch self {
        case .submitted, .running, .started: .running
        case .completed: .completed
        case .failed: .failed
        case .canceled: .canceled
        case .unspecified, .UNRECOGNIZED: nil
        }
    }
}

extension JobID {
    /// The id after this one; nil after the highest.
    fileprivate var next: JobID? {
        guard low == .max else { return JobID(high: high, low: low + 1) }
        return high == .max ? nil : JobID(high: high + 1, low: 0)
    }
}

extension Timestamp {
    fileprivate func adding(_ count: Int64) -> Timestamp { Timestamp(microseconds: microseconds + count) }
}
