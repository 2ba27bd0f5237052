internal import Ledger
internal import PQ

/// The jobs and the recorded times of events as columns of parameters.
///
/// The events of one append to one job have the same job and time. They are sent once, and not for each event.
struct PlaceColumns {
    private var first: (job: JobID, recordedAt: Timestamp)?
    private var count = 0
    /// The columns; nil as long as all events have the same job and time.
    private var columns: (jobs: ParameterColumn, recordedAt: ParameterColumn)?

    /// Whether all events have the same job and time.
    var isOne: Bool { columns == nil }

    mutating func append(_ job: JobID, _ recordedAt: Timestamp) {
        if columns == nil, let first, first != (job, recordedAt) {
            columns = (ParameterColumn(.uuid), ParameterColumn(.timestamptz))
            for _ in 0..<count { appendRow(first.job, first.recordedAt) }
        }
        if first == nil { first = (job, recordedAt) }
        count += 1
        appendRow(job, recordedAt)
    }

    private mutating func appendRow(_ job: JobID, _ recordedAt: Timestamp) {
        columns?.jobs.append(uuid: job.uuid)
        columns?.recordedAt.append(microsecondsSince1970: recordedAt.microseconds)
    }

    /// The columns of the event table, in the order of ``parameters``.
    static let names = ["job_id", "recorded_at"]
    static let types = ["uuid", "timestamptz"]

    /// Arrays, or the single values if ``isOne``.
    var parameters: [Parameter] {
        if let columns { return [columns.jobs.parameter, columns.recordedAt.parameter] }
        return first.map { [.uuid($0.job.uuid), .timestamp($0.recordedAt)] } ?? []
    }
}
