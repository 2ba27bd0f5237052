internal import Ledger
internal import LedgerStore
internal import PQ

/// A check that a ledger contains every acknowledged event once, with right sums.
struct BenchmarkAssertion {
    private static let foldDeadline: Duration = .seconds(600)

    let site: BenchmarkMachine.Site
    let stock: JobStock

    /// Waits until all events are folded.
    ///
    /// - Returns: The time that this took.
    @discardableResult
    func waitUntilFolded() async throws -> Duration {
        let start = ContinuousClock.now
        let behind = Query(
            """
            select count(*)
            from ledger.job_head as head
            join ledger.snapshot as snapshot on snapshot.job_id = head.job_id and snapshot.is_live
            where snapshot.sequence < head.sequence
            """)
        func isBehind() async throws -> Bool {
            for database in site.databases {
                if try await database.query(behind)[0].decode(0, as: Int64.self) > 0 { return true }
            }
            return false
        }
        while try await isBehind() {
            guard ContinuousClock.now < start + Self.foldDeadline else {
                throw BenchmarkError("the projection did not catch up within \(Self.foldDeadline)")
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        return start.duration(to: .now)
    }

    /// Checks the events and optionally the snapshots.
    ///
    /// - Parameter folds: Whether the server projects, so that snapshots can be compared too.
    /// - Returns: A sentence that states the result.
    func run(_ name: String, folds: Bool) async throws -> String {
        let expected = stock.expectation
        try await compareEvents(expected)
        let acknowledged = expected.eventCount - expected.storedEvents
        var sentence = "\(name): \(acknowledged) acknowledged events are in the ledger, each once, without a gap"
        if expected.storedEvents > 0 { sentence += ", plus \(expected.storedEvents) stored before" }
        if folds {
            try await waitUntilFolded()
            try await compareSnapshots(expected)
            sentence += "; every snapshot shows their sums"
        }
        return sentence
    }

    /// The rows of a query in all databases.
    private func rows(_ query: Query) async throws -> [Row] {
        var rows: [Row] = []
        for database in site.databases { rows += try await database.query(query) }
        return rows
    }

    private func compareEvents(_ expected: Expectation) async throws {
        let rows = try await rows(
            Query(
                """
                select head.job_id::text, head.sequence, event.count, event.last
                from ledger.job_head as head
                join (
                    select job_id, count(*) as count, max(sequence) as last
                    from ledger.event
                    group by job_id
                ) as event on event.job_id = head.job_id
                """))
        var found: [String: Int64] = [:]
        for row in rows {
            let job = try row.decode(0, as: String.self)
            let (sequence, count, last) = (
                try row.decode(1, as: Int64.self), try row.decode(2, as: Int64.self), try row.decode(3, as: Int64.self)
            )
            guard sequence == count, sequence == last else {
                throw BenchmarkError("job \(job) has \(count) events up to \(last), but its head is at \(sequence)")
            }
            found[job] = count
        }
        for (index, job) in stock.jobs.enumerated() {
            // The first event of a job is its creation, which the workload does not count.
            let expectedValue = expected.events[index] + 1
            guard found[job] == expectedValue else {
                throw BenchmarkError(
                    "job \(job): \(expectedValue) events were acknowledged, but it contains \(found[job] ?? 0)")
            }
        }
    }

    private func compareSnapshots(_ expected: Expectation) async throws {
        let rows = try await rows(
            Query(
                """
                select indicator.job_id::text, indicator.label,
                    indicator.counted_total::bigint, indicator.counted_done::bigint
                from ledger.indicator as indicator
                join ledger.snapshot as snapshot
                    on snapshot.job_id = indicator.job_id and snapshot.projection = indicator.projection
                    and snapshot.is_live
                """))
        var found: [String: (Int64, Int64)] = [:]
        for row in rows {
            found["\(try row.decode(0, as: String.self)) \(try row.decode(1, as: String.self))"] = (
                try row.decode(2), try row.decode(3)
            )
        }
        for (index, job) in stock.jobs.enumerated() {
            for (label, name) in Workload.labels.enumerated() {
                let expectedValue = expected.indicator(job: index, label: label)
                let shown = found["\(job) \(name)"] ?? (0, 0)
                guard shown == expectedValue else {
                    throw BenchmarkError(
                        "job \(job), \(name): \(expectedValue.done)/\(expectedValue.total) was reported, but \(shown.1)/\(shown.0) is shown"
                    )
                }
            }
        }
    }
}
