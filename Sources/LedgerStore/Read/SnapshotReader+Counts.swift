internal import Ledger
internal import PQ

extension SnapshotReader {
    /// Counts the matching jobs by state, of each state the newest ones.
    func counts(_ filter: JobFilter) async throws(PQError) -> JobCountsByState {
        var counts = JobCountsByState()
        for row in try await pool.lookUp([Self.countQuery(filter)])[0] {
            guard let state = JobState(rawValue: try row.decode(0)) else {
                throw PQError(.decoding, "a snapshot has an unknown state")
            }
            counts.set(state, Int(try row.decode(1, as: Int64.self)), isIncomplete: try row.decode(2))
        }
        return counts
    }

    /// The statement that counts jobs. Tests check its plan.
    ///
    /// It reads the newest jobs of each state by `snapshot_live_by_state`, and stops at one job more than the maximum,
    /// which shows that there are more. The description of each job is looked up by its id, if the filter needs it.
    private static func countQuery(_ filter: JobFilter) -> Query {
        var range = JobFilter()
        (range.createdFrom, range.createdBefore) = (filter.createdFrom, filter.createdBefore)
        var rest = filter
        (rest.createdFrom, rest.createdBefore, rest.states) = (nil, nil, [])
        let states = filter.orderedStates.isEmpty ? JobState.allCases : filter.orderedStates
        var examined = JobConditions(range, of: "snapshot")
        let requested = examined.add(.texts(states.map(\.rawValue)))
        let matching = JobConditions(rest, of: "job", after: examined.parameters)
        // Whether some jobs of a state may not match.
        let isSelective = rest != JobFilter()
        let newest = """
            select snapshot.job_id
            from ledger.snapshot
            where snapshot.is_live and snapshot.state between requested.state and requested.state
                and \(examined.expression)
            order by snapshot.state, snapshot.job_id desc
            """
        let counted =
            isSelective
            ? """
            (\(newest) limit \(JobCountsByState.examinedMax)) as examined
            cross join lateral (
                select job_id, name, key, tags from ledger.job as one where one.job_id = examined.job_id limit 1
            ) as job
            where \(matching.expression)
            limit \(JobCountsByState.countMax + 1)
            """ : "(\(newest) limit \(JobCountsByState.countMax + 1)) as examined"
        let hasMore = isSelective ? "exists (\(newest) offset \(JobCountsByState.examinedMax) limit 1)" : "false"
        return Query(
            """
            select
                requested.state, found.count,
                case when found.count > \(JobCountsByState.countMax) then true else \(hasMore) end
            from unnest(\(requested)::text[]) as requested (state)
            cross join lateral (
                select count(*) as count from (select from \(counted)) as matching
            ) as found
            """, matching.parameters)
    }
}
