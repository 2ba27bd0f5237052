internal import Ledger
internal import PQ

/// Events as columns of parameters for one inserting statement.
struct EventColumns {
    private var places = PlaceColumns()
    private var sequences = ParameterColumn(.int8)
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
        places.append(job, event.recordedAt)
        sequences.append(int8: event.sequence.number)
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

    /// A statement that inserts events, in all its shapes.
    struct Statement: Sendable {
        private let texts: [Shape: String]

        init(_ text: (Shape) -> String) {
            let shapes = [false, true].flatMap { hasNotes in
                [false, true].map { Shape(hasNotes: hasNotes, hasOnePlace: $0) }
            }
            texts = Dictionary(uniqueKeysWithValues: shapes.map { ($0, text($0)) })
        }

        /// The text for these events.
        func text(for columns: EventColumns) -> String {
            guard let text = texts[columns.shape] else { preconditionFailure("a statement has a text for each shape") }
            return text
        }
    }

    /// The inserted columns of the event table.
    struct Shape: Hashable, Sendable {
        /// Whether there are ``NoteColumns``.
        fileprivate let hasNotes: Bool
        /// Whether all events have the same job and time.
        ///
        /// Both are single values then.
        fileprivate let hasOnePlace: Bool

        /// The names of the columns, in the order of ``EventColumns/parameters``.
        var names: String {
            (PlaceColumns.names + EventColumns.names + (hasNotes ? NoteColumns.names : [])).joined(separator: ", ")
        }

        private var types: [String] {
            PlaceColumns.types + EventColumns.types + (hasNotes ? NoteColumns.types : [])
        }

        /// The select clause of all rows, with parameters from this number on.
        ///
        /// Each column is unnested in the select list, which produces the rows one by one. One `unnest` of all columns
        /// in the from clause would materialize each column first, which takes four times as long.
        func rows(from first: Int) -> String {
            let columns = types.enumerated().map { index, type in
                let isSingle = hasOnePlace && index < PlaceColumns.types.count
                return isSingle ? "$\(first + index)::\(type)" : "unnest($\(first + index)::\(type)[])"
            }
            return "select \(columns.joined(separator: ", "))"
        }

        /// The select clause of a single row, with parameters from this number on.
        func row(from first: Int) -> String {
            "select \((first..<first + types.count).map { "$\($0)" }.joined(separator: ", "))"
        }
    }

    private var shape: Shape { Shape(hasNotes: notes != nil, hasOnePlace: places.isOne) }

    private static let names = [
        "sequence", "at", "report", "total", "done", "attempt", "type", "hash", "task", "execution", "label",
        "outcome", "reporter",
    ]

    private static let types = [
        "bigint", "timestamptz", "bigint", "bigint", "bigint", "integer", "smallint", "bytea", "text", "text", "text",
        "text", "text",
    ]

    /// The columns as parameters.
    ///
    /// The sequences have no nulls, so all rows are produced although other columns lack their last nulls.
    var parameters: [Parameter] { places.parameters + all.map(\.parameterWithoutLastNulls) }

    /// The only row as parameters.
    var singleRow: [Parameter] { places.parameters + all.map(\.single) }

    private var all: [ParameterColumn] {
        [
            sequences, at, reports, totals, dones, attempts, types, hashes, tasks, executions, labels, outcomes,
            reporters,
        ] + (notes?.all ?? [])
    }

    /// The statement that inserts the events.
    var insert: Query { Query(Self.insertion.text(for: self), parameters) }

    private static let insertion = Statement { "insert into ledger.event (\($0.names)) \($0.rows(from: 1))" }
}
