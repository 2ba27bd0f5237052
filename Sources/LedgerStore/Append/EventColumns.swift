internal import Ledger
internal import PQ

/// Events on their way into the event table, column by column, so that one statement inserts them all.
struct EventColumns {
    private var jobs: [UUIDBytes?] = []
    private var sequences: [Int64?] = []
    private var recordedAt: [Int64?] = []
    private var at: [Int64?] = []
    private var reports: [Int64?] = []
    private var totals: [Int64?] = []
    private var dones: [Int64?] = []
    private var attempts: [Int32?] = []
    private var types: [Int16?] = []
    private var hashes: [[UInt8]?] = []
    private var tasks: [String?] = []
    private var executions: [String?] = []
    private var labels: [String?] = []
    private var outcomes: [String?] = []

    /// How many events there are.
    var count: Int { sequences.count }

    /// Adds an event of any type but `job_created`, which is inserted with its job.
    mutating func append(_ event: Event, of job: JobID, hash: [UInt8]) {
        jobs.append(job.uuid)
        sequences.append(event.sequence)
        recordedAt.append(event.recordedAt.microseconds)
        at.append(event.at?.microseconds)
        types.append(event.body.type.rawValue)
        hashes.append(hash)
        let reference = event.body.reference
        tasks.append(reference?.task.text)
        executions.append(reference?.execution?.text)
        attempts.append(reference?.attempt)
        var progress: ProgressReport?
        if case .progress(let report) = event.body { progress = report }
        reports.append(progress?.report)
        totals.append(progress?.total)
        dones.append(progress?.done)
        labels.append(progress?.label?.text)
        switch event.body {
        case .executionFinished(_, let outcome): outcomes.append(outcome.rawValue)
        case .jobFinished(let outcome): outcomes.append(outcome.rawValue)
        case .jobCreated, .executionStarted, .progress: outcomes.append(nil)
        }
    }

    /// The columns of the event table that are inserted, in the order of ``parameters``.
    static let names =
        "job_id, sequence, recorded_at, at, report, total, done, attempt, type, hash, task, execution, label, outcome"

    /// What gives the rows, where the parameters begin with this number.
    static func rows(from first: Int) -> String {
        let types = [
            "uuid", "bigint", "timestamptz", "timestamptz", "bigint", "bigint", "bigint", "integer", "smallint",
            "bytea", "text", "text", "text", "text",
        ]
        let arrays = types.enumerated().map { "$\(first + $0.offset)::\($0.element)[]" }
        return "unnest(\(arrays.joined(separator: ", ")))"
    }

    /// The columns as parameters.
    var parameters: [Parameter] {
        [
            .uuids(jobs), .int8s(sequences), .timestamptzs(microsecondsSince1970: recordedAt),
            .timestamptzs(microsecondsSince1970: at), .int8s(reports), .int8s(totals), .int8s(dones),
            .int4s(attempts), .int2s(types), .byteas(hashes), .texts(tasks), .texts(executions), .texts(labels),
            .texts(outcomes),
        ]
    }

    /// The statement that inserts them.
    var insert: Query { Query(Self.insertSQL, parameters) }

    private static let insertSQL = "insert into ledger.event (\(names)) select * from \(rows(from: 1))"
}
