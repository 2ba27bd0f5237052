internal import Ledger
internal import LedgerStore
internal import PQ

/// Compares jobs folded in memory with the rows of their live projections.
///
/// Both sides are in the same order, so each row is compared as it arrives.
struct FoldComparison {
    private let candidates: [FoldVerification.Candidate]
    private let folded: [FoldVerification.FoldedJob]
    /// Whether everything compared so far is equal, for each job.
    private(set) var isEqual: [Bool]

    init(candidates: [FoldVerification.Candidate], folded: [FoldVerification.FoldedJob]) {
        self.candidates = candidates
        self.folded = folded
        isEqual = zip(candidates, folded).map { $0.progress == $1.changes.progress }
    }

    mutating func compare(_ transaction: inout Transaction) async throws {
        try await compare(
            "indicator", Self.indicatorColumns, \.indicators, &transaction, Self.rowMatches(_:indicator:_:))
        try await compare("task", Self.taskColumns, \.tasks, &transaction, Self.rowMatches(_:task:_:))
        try await compare(
            "execution", Self.executionColumns, \.executions, &transaction, Self.rowMatches(_:execution:_:))
        try await compare("report_page", Self.pageColumns, \.pages, &transaction, Self.rowMatches(_:page:_:))
        try await compare("discard", Self.discardColumns, \.discards, &transaction, Self.rowMatches(_:discard:_:))
    }

    /// Compares the rows of one table with the parts that were folded.
    private mutating func compare<Part>(
        _ table: String, _ columns: [String], _ parts: (FoldChanges) -> [Part], _ transaction: inout Transaction,
        _ rowMatches: (inout BinaryRow, Part?, EstimateState?) throws(PQError) -> Bool
    ) async throws {
        let expected = folded.map { parts($0.changes) }
        // If the live state of estimates is still to be built, it is not compared.
        let estimates = zip(candidates, folded).map { $0.estimate == nil ? nil : $1.estimate }
        var isEqual = isEqual
        var rowCounts = Array(repeating: 0, count: expected.count)
        var reader = CopyRowReader()
        try await transaction.copyOut(statement(table, columns)) { chunk in
            try await ComputeThreads.run { () throws(PQError) in
                try reader.read(chunk) { row throws(PQError) in
                    guard let number = try row.int4(), rowCounts.indices.contains(Int(number) - 1)
                    else { throw PQError(.decoding, "the comparison returned a row of a job that was not requested") }
                    let job = Int(number) - 1
                    let part = rowCounts[job] < expected[job].count ? expected[job][rowCounts[job]] : nil
                    rowCounts[job] += 1
                    if try !rowMatches(&row, part, estimates[job]) { isEqual[job] = false }
                }
            }
        }
        for job in expected.indices where rowCounts[job] != expected[job].count { isEqual[job] = false }
        self.isEqual = isEqual
    }

    /// Returns the COPY statement that reads a table in the order of its key.
    private func statement(_ table: String, _ columns: [String]) -> String {
        """
        copy (
            select live.number::integer, \(columns.map { "one.\($0)" }.joined(separator: ", "))
            from unnest(
                array[\(candidates.map { "'\($0.job.id)'" }.joined(separator: ", "))]::uuid[],
                array[\(candidates.map { "\($0.live)" }.joined(separator: ", "))]::smallint[]
            ) with ordinality as live (job_id, projection, number)
            cross join lateral (
                select * from ledger.\(table) as found
                where found.job_id = live.job_id and found.projection = live.projection
                order by \(table == "report_page" ? "found.execution, found.part, found.page" : "found.sequence")
            ) as one
        ) to stdout (format binary)
        """
    }

    // MARK: Parts

    // Every column of a row is read, even after a difference was found.

    private static let indicatorColumns = [
        "sequence", "label", "received_total", "received_done", "counted_total", "counted_done", "superseded_total",
        "superseded_done", "discarded_total", "discarded_done", "counted_events", "superseded_events", "updated_at",
        "pattern", "carried_done", "unit", "message",
    ]

    private static func rowMatches(
        _ row: inout BinaryRow, indicator: IndicatorState?, _ estimate: EstimateState?
    ) throws(PQError) -> Bool {
        let sequence = try row.sequence()
        let label = try row.text()
        let numbers = [
            try row.numeric(), try row.numeric(), try row.numeric(), try row.numeric(), try row.numeric(),
            try row.numeric(), try row.numeric(), try row.numeric(),
        ]
        let counted = try row.int8()
        let superseded = try row.int8()
        let updatedAt = try row.timestamp()
        let pattern = try row.bytes()
        let carried = try row.numeric()
        let unit = try row.text()
        let message = try row.text()
        guard let indicator else { return false }
        let units = [indicator.received, indicator.counted, indicator.superseded, indicator.discarded]
        return sequence == indicator.id.sequence && isSame(label, indicator.label?.text ?? "")
            && numbers == units.flatMap { [$0.total, $0.done] } && counted == indicator.countedEvents
            && superseded == indicator.supersededEvents && isSame(updatedAt, indicator.updatedAt)
            && carried == indicator.carried && isSame(unit, indicator.unit?.text)
            && isSame(message, indicator.message?.text)
            && (estimate.map { pattern == $0.encodedPattern(of: indicator.id) } ?? true)
    }

    private static let taskColumns = ["sequence", "last", "execution_count", "name", "state"]

    private static func rowMatches(
        _ row: inout BinaryRow, task: JobTask?, _: EstimateState?
    ) throws(PQError) -> Bool {
        let sequence = try row.sequence()
        let last = try row.sequence()
        let executionCount = try row.int8()
        let name = try row.text()
        let state = try row.text()
        guard let task else { return false }
        return sequence == task.id.sequence && last == task.last.sequence && executionCount == task.executionCount
            && isSame(name, task.name.text) && isSame(state, task.state.rawValue)
    }

    private static let executionColumns = [
        "sequence", "task", "last_sequence", "superseded_by", "started_at", "last_at", "attempt", "name", "outcome",
        "state", "work", "message_sequence", "link_sequence",
    ]

    private static func rowMatches(
        _ row: inout BinaryRow, execution: Execution?, _ estimate: EstimateState?
    ) throws(PQError) -> Bool {
        let sequence = try row.sequence()
        let task = try row.sequence()
        let lastSequence = try row.sequence()
        let supersededBy = try row.sequence()
        let startedAt = try row.timestamp()
        let lastAt = try row.timestamp()
        let attempt = try row.int4()
        let name = try row.text()
        let outcome = try row.text()
        let state = try row.bytes()
        let work = try row.bytes()
        let messageSequence = try row.sequence()
        let linkSequence = try row.sequence()
        guard let execution else { return false }
        return sequence == execution.id.sequence && task == execution.task.sequence
            && lastSequence == execution.lastSequence
            && supersededBy == execution.supersededBy?.sequence && isSame(startedAt, execution.startedAt)
            && isSame(lastAt, execution.lastAt) && attempt == execution.attempt
            && isSame(name, execution.name?.text) && isSame(outcome, execution.outcome?.rawValue)
            && state == execution.encodedState && messageSequence == execution.messageSequence
            && linkSequence == execution.linkSequence
            && (estimate.map { work == $0.encodedWork(of: execution.id) } ?? true)
    }

    private static let pageColumns = ["execution", "part", "page", "entries"]

    private static func rowMatches(
        _ row: inout BinaryRow, page: (key: ReportPage.Key, appended: ReportPage)?, _: EstimateState?
    ) throws(PQError) -> Bool {
        let execution = try row.sequence()
        let part = try row.text()
        let number = try row.int8()
        let entries = try row.bytes()
        guard let page else { return false }
        return execution == page.key.execution.sequence && isSame(part, page.key.part?.text ?? "")
            && number == page.key.page && entries == page.appended.bytes
    }

    private static let discardColumns = [
        "sequence", "execution", "indicator", "duplicate_of", "total", "done", "verdict",
    ]

    private static func rowMatches(
        _ row: inout BinaryRow, discard: Discard?, _: EstimateState?
    ) throws(PQError) -> Bool {
        let sequence = try row.sequence()
        let execution = try row.sequence()
        let indicator = try row.sequence()
        let duplicateOf = try row.sequence()
        let total = try row.int8()
        let done = try row.int8()
        let verdict = try row.text()
        guard let discard else { return false }
        return sequence == discard.sequence && execution == discard.execution.sequence
            && indicator == discard.indicator?.sequence
            && duplicateOf == discard.duplicateOf && total.map { Int128($0) } == discard.units.total
            && done.map { Int128($0) } == discard.units.done && isSame(verdict, discard.verdict.rawValue)
    }

    /// Compares texts exactly, as the ledger does.
    private static func isSame(_ stored: String?, _ folded: String?) -> Bool {
        stored.map { Name($0) } == folded.map { Name($0) }
    }

    private static func isSame(_ stored: TimestampMicroseconds?, _ folded: Timestamp) -> Bool {
        stored.map { Timestamp($0) } == folded
    }
}
