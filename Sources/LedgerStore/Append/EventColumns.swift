internal import Ledger
internal import PQ

/// Events as columns of parameters for one inserting statement.
struct EventColumns {
    private var jobs = ParameterColumn(.uuid)
    private var sequences = ParameterColumn(.int8)
    private var recordedAt = ParameterColumn(.timestamptz)
    private var at = ParameterColumn(.timestamptz)
    private var reports = ParameterColumn(.int8)
    private var totals = ParameterColumn(.int8)
    private var dones = ParameterColumn(.int8)
    private var attempts = ParameterColumn(.int4)
    private var types = ParameterColumn(.int2)
    private var hashes = ParameterColumn(.bytea)
    private var tasks = ParameterColumn(.text)
    private var executions = ParameterColumn(.text)
    private var labels = ParameterColumn(.text)
    private var outcomes = ParameterColumn(.text)
    private var reporters = ParameterColumn(.text)
    /// The optional fields; nil as long as no event has any.
    private var notes: NoteColumns?

    /// The number of events.
    var count: Int { sequences.count }

    /// Adds an event of any type but `job_created`, which is inserted with its job.
    mutating func append(_ event: Event, of job: JobID, hash: EventHash) {
        if notes == nil, event.hasNotes { notes = NoteColumns(skipping: count) }
        notes?.append(event)
        jobs.append(uuid: job.uuid)
        sequences.append(int8: event.sequence.number)
        recordedAt.append(microsecondsSince1970: event.recordedAt.microseconds)
        at.append(microsecondsSince1970: event.at?.microseconds)
        types.append(int2: event.body.type.rawValue)
        hashes.append(bytea: hash.bytea)
        reporters.append(text: event.reporter?.text)
        switch event.body {
        case .progress(let progress):
            append(progress.reference)
            append(progress)
            outcomes.append(text: nil)
        case .executionStarted(let reference):
            append(reference)
            append(nil as ProgressReport?)
            outcomes.append(text: nil)
        case .executionFinished(let reference, let outcome):
            append(reference)
            append(nil as ProgressReport?)
            outcomes.append(text: outcome.rawValue)
        case .jobFinished(let outcome):
            append(nil as ExecutionReference?)
            append(nil as ProgressReport?)
            outcomes.append(text: outcome.rawValue)
        case .jobCreated:
            // The database refuses it without its description.
            append(nil as ExecutionReference?)
            append(nil as ProgressReport?)
            outcomes.append(text: nil)
        }
    }

    private mutating func append(_ reference: ExecutionReference?) {
        tasks.append(text: reference?.task.text)
        executions.append(text: reference?.execution?.text)
        attempts.append(int4: reference?.attempt)
    }

    private mutating func append(_ progress: ProgressReport?) {
        reports.append(int8: progress?.report)
        totals.append(int8: progress?.total)
        dones.append(int8: progress?.done)
        labels.append(text: progress?.label?.text)
    }

    /// A statement that inserts events, without and with ``NoteColumns``.
    struct Statement: Sendable {
        private let plain: String
        private let noted: String

        init(_ text: (Shape) -> String) {
            plain = text(Shape(hasNotes: false))
            noted = text(Shape(hasNotes: true))
        }

        /// The variant for these events.
        func text(for columns: EventColumns) -> String { columns.notes == nil ? plain : noted }
    }

    /// The inserted columns of the event table.
    struct Shape {
        fileprivate let hasNotes: Bool

        /// The names of the columns, in the order of ``EventColumns/parameters``.
        var names: String {
            (EventColumns.names + (hasNotes ? NoteColumns.names : [])).joined(separator: ", ")
        }

        private var types: [String] { EventColumns.types + (hasNotes ? NoteColumns.types : []) }

        /// The select clause of all rows, with parameters from this number on.
        ///
        /// Each column is unnested in the select list, which produces the rows one by one. One `unnest` of all columns
        /// in the from clause would materialize each column first, which takes four times as long.
        func rows(from first: Int) -> String {
            let columns = types.enumerated().map { "unnest($\(first + $0.offset)::\($0.element)[])" }
            return "select \(columns.joined(separator: ", "))"
        }

        /// The select clause of a single row, with parameters from this number on.
        func row(from first: Int) -> String {
            "select \((first..<first + types.count).map { "$\($0)" }.joined(separator: ", "))"
        }
    }

    private static let names = [
        "job_id", "sequence", "recorded_at", "at", "report", "total", "done", "attempt", "type", "hash", "task",
        "execution", "label", "outcome", "reporter",
    ]

    private static let types = [
        "uuid", "bigint", "timestamptz", "timestamptz", "bigint", "bigint", "bigint", "integer", "smallint", "bytea",
        "text", "text", "text", "text", "text",
    ]

    /// The columns as parameters.
    var parameters: [Parameter] { all.map(\.parameter) }

    /// The only row as parameters.
    var singleRow: [Parameter] { all.map(\.single) }

    private var all: [ParameterColumn] {
        [
            jobs, sequences, recordedAt, at, reports, totals, dones, attempts, types, hashes, tasks, executions, labels,
            outcomes, reporters,
        ] + (notes?.all ?? [])
    }

    /// The statement that inserts the events.
    var insert: Query { Query(Self.insertion.text(for: self), parameters) }

    private static let insertion = Statement { "insert into ledger.event (\($0.names)) \($0.rows(from: 1))" }
}
