package import Ledger
package import PQ
internal import Synchronization

/// Finds the subscriptions to jobs, with the subscriptions in memory.
///
/// The subscriptions are read again whenever their version in the database has changed. A step of the projection reads
/// the version after the events, in the same transaction. Therefore it knows every subscription that was created
/// before one of these events was committed.
package final class SubscriptionMatcher: Sendable {
    private struct State {
        /// The version of the subscriptions. It is 0 in a ledger that never had any.
        var version: Int64 = 0
        var subscriptions: [Subscription] = []
        /// The subscriptions to jobs. Names and tags of jobs never change.
        var jobs = BoundedCache<JobID, [Subscription]>(costMax: SubscriptionMatcher.costMax)
    }

    /// The maximum cost of the remembered jobs.
    ///
    /// The cost is one for each job and each of its subscriptions. At some 100 bytes each they take 10 MB.
    private static let costMax = 100_000

    private let state = Mutex(State())

    package init() {}

    /// The statement that reads the version of the subscriptions.
    ///
    /// It is the whole cost of a step in a ledger without subscriptions.
    package static let version = Query("select version from ledger.notification_state")

    /// Returns the active subscriptions to each of these jobs that has any.
    ///
    /// Costs no query if the version is known and the jobs are remembered, or if the ledger has no subscription.
    ///
    /// - Parameter version: The result of ``version`` in the same transaction.
    package func subscriptions(
        to jobs: [JobID], version: Rows, in transaction: inout Transaction
    ) async throws(PQError) -> [JobID: [Subscription]] {
        let current = try version.first?.decode(0, as: Int64.self) ?? 0
        var known = state.withLock { $0.version == current ? $0.subscriptions : nil }
        if known == nil {
            let read = try SubscriptionStore.decode(try await transaction.query(SubscriptionStore.all))
                .filter { $0.disabled == nil }
            known = read
            state.withLock { state in
                state = State()
                state.version = current
                state.subscriptions = read
            }
        }
        guard let subscriptions = known, !subscriptions.isEmpty, !jobs.isEmpty else { return [:] }
        var found: [JobID: [Subscription]] = [:]
        var unknown: [JobID] = []
        state.withLock { state in
            for job in jobs {
                guard state.version == current, let matches = state.jobs.find(job, where: { _ in true }) else {
                    unknown.append(job)
                    continue
                }
                if !matches.isEmpty { found[job] = matches }
            }
        }
        guard !unknown.isEmpty else { return found }
        for (job, description) in try await Self.descriptions(of: unknown, in: &transaction) {
            let matches = subscriptions.filter { $0.includes(description) }
            if !matches.isEmpty { found[job] = matches }
            state.withLock { state in
                if state.version == current { state.jobs.put(matches, job, cost: 1 + matches.count) }
            }
        }
        return found
    }

    private static func descriptions(
        of jobs: [JobID], in transaction: inout Transaction
    ) async throws(PQError) -> [(job: JobID, description: JobDescription)] {
        let rows = try await transaction.query(
            Query(
                """
                select job_id, name, \(TagColumns.columns(of: "tags"))
                from ledger.job
                where job_id = any ($1)
                """, [.uuids(jobs.map(\.uuid))]))
        var descriptions: [(job: JobID, description: JobDescription)] = []
        for row in rows {
            var columns = row.columns
            let job = try columns.next(JobID.self)
            let name = try columns.next(Name.self)
            descriptions.append((job, JobDescription(name: name, tags: try TagColumns.decode(&columns))))
        }
        return descriptions
    }
}
