internal import Ledger
internal import LedgerWire
internal import PQ

/// The statement that reads a page of jobs.
///
/// A page is a range of one index, in both directions: that of the jobs' ids or, for a list by state,
/// `snapshot_live_by_state` (`state, job_id desc where is_live`). For several states the statement reads a page of
/// each, and keeps the first ones of all. The times of creation are ranges of the ids. Therefore the cost depends on
/// the size of the page only, unless the filter has tags or a search.
struct JobListQuery {
    let filter: JobFilter
    let order: JobFilter.Order
    let limit: Int
    let cursor: JobID?
    /// Whether the query follows the index by state instead of the order of all jobs.
    ///
    /// Few of many jobs may have the state. A filter by name or key is more selective.
    let usesStateIndex: Bool

    /// - Parameter isSnapshotMissing: Whether a job may lack its snapshot. It is not in the index by state, but counts
    ///   as running.
    init(_ filter: JobFilter, in order: JobFilter.Order, limit: Int, after cursor: JobID?, isSnapshotMissing: Bool) {
        self.filter = filter
        self.order = order
        self.limit = limit
        self.cursor = cursor
        let states = filter.orderedStates
        usesStateIndex =
            !states.isEmpty && filter.name == nil && filter.key == nil
            && !(isSnapshotMissing && states.contains(.running))
    }

    var query: Query {
        var conditions = JobConditions(filter, of: usesStateIndex ? "snapshot" : "job")
        if let cursor { conditions.require("\(conditions.id) \(order == .newest ? "<" : ">") ", .uuid(cursor.uuid)) }
        guard usesStateIndex else {
            let states = filter.orderedStates
            if !states.isEmpty {
                let value = conditions.add(.texts(states.map(\.rawValue)))
                conditions.require("\(SnapshotReader.state) = any(\(value))")
            }
            // At most one job has a given key. With an order as well, PostgreSQL might walk through all jobs in that
            // order.
            let sorting = filter.key == nil ? "order by job.job_id \(direction)" : ""
            let limit = conditions.add(.int8(Int64(self.limit)))
            return Query(
                """
                \(SnapshotReader.columns())
                \(conditions.whereClause)
                \(sorting)
                limit \(limit)
                """, conditions.parameters)
        }
        let states = filter.orderedStates.map { conditions.add(.text($0.rawValue)) }
        let limit = conditions.add(.int8(Int64(self.limit)))
        // The state is a column of the snapshot; the head is joined only to the selected jobs.
        let pages = states.map { value in
            var conditions = conditions
            conditions.require("snapshot.state between \(value) and \(value)")
            return """
                \(SnapshotReader.columns(byState: true))
                \(conditions.whereClause)
                order by snapshot.state \(order == .newest ? "asc" : "desc"), snapshot.job_id \(direction)
                limit \(limit)
                """
        }
        guard pages.count > 1 else { return Query(pages[0], conditions.parameters) }
        // The first column is the id.
        return Query(
            """
            \(pages.map { "(\($0))" }.joined(separator: "\nunion all\n"))
            order by 1 \(direction)
            limit \(limit)
            """, conditions.parameters)
    }

    private var direction: String { order == .newest ? "desc" : "asc" }
}

/// The conditions of a filter in SQL, except those of the states.
struct JobConditions {
    /// The column with the job's id.
    let id: String
    private(set) var parameters: [Parameter] = []
    private var conditions: [String] = []

    /// - Parameters:
    ///   - table: The table whose order is followed, so that its ids are compared.
    ///   - parameters: The parameters that the statement has already.
    init(_ filter: JobFilter, of table: String, after parameters: [Parameter] = []) {
        id = "\(table).job_id"
        self.parameters = parameters
        if filter.matchesNothing { require("false") }
        if let from = filter.createdFrom { require("\(id) >= ", .uuid(JobID(startOf: from).uuid)) }
        if let before = filter.createdBefore { require("\(id) < ", .uuid(JobID(startOf: before).uuid)) }
        if let only = filter.job { require("job.job_id = ", .uuid(only.uuid)) }
        if let name = filter.name { require("job.name = ", .text(name.text)) }
        if let key = filter.key { require("job.key = ", .text(key.text)) }
        if let search = filter.search {
            let pattern = add(.text(search.searchPattern))
            // A longer text matches no name, and its pattern would be long.
            let isFound =
                search.scalarCount <= Limits.jobNameLengths.upperBound
                ? "job.name collate \"C\" ~ \(pattern)" : "\(pattern) is null"
            require("(\(isFound) or job.key = \(add(.text(search.text))))")
        }
        if !filter.tags.isEmpty {
            let added = TagColumns.parameters(filter.tags).map { add($0) }
            require("job.tags @> jsonb_object(\(added.joined(separator: ", ")))")
        }
        if !filter.includesReplays { require("not \(Self.isOfReplay)") }
    }

    /// Whether the job tracks a replay, as ``JobDescription/isOfReplay`` decides.
    private static let isOfReplay = """
        (job.name = '\(JobDescription.replayName.text)' and job.tags ?& \(replayTags) and job.tags - \(replayTags) = '{}')
        """
    private static let replayTags =
        "array['\(JobDescription.replayPolicyTag.text)', '\(JobDescription.replayJobTag.text)']"

    /// Adds a parameter; returns its placeholder.
    mutating func add(_ parameter: Parameter) -> String {
        parameters.append(parameter)
        return "$\(parameters.count)"
    }

    mutating func require(_ condition: String) { conditions.append(condition) }

    /// Requires a comparison with a parameter.
    mutating func require(_ comparison: String, _ parameter: Parameter) { require(comparison + add(parameter)) }

    var whereClause: String { conditions.isEmpty ? "" : "where \(expression)" }

    /// All conditions; `true` without one.
    var expression: String { conditions.isEmpty ? "true" : conditions.joined(separator: " and ") }
}
