import Ledger

/// The reason of a refused call.
enum ReportRefusal: Hashable, Sendable {
    case task, execution, attempt, label, tooManyLabels, units, ended, canceled
    /// A note; the report itself counts.
    case link, unit

    /// Returns the reason why an execution is refused; nil if it is valid.
    ///
    /// The ledger would refuse each of its events.
    static func of(_ reference: ExecutionReference) -> ReportRefusal? {
        if !Limits.taskLengths.contains(reference.task.scalarCount) || reference.task.containsNUL { return .task }
        if let name = reference.execution,
            !Limits.executionLengths.contains(name.scalarCount) || name.containsNUL
        {
            return .execution
        }
        guard let attempt = reference.attempt else { return nil }
        return Limits.attempts.contains(Int64(attempt)) ? nil : .attempt
    }

    /// Returns the reason why a label is refused; nil if it is valid.
    static func of(label: Name?) -> ReportRefusal? {
        guard let label else { return nil }
        return label.scalarCount > Limits.labelLengths.upperBound || label.containsNUL ? .label : nil
    }

    /// Returns the reason why increments are refused; nil if they are valid.
    static func of(total: Int64, done: Int64) -> ReportRefusal? {
        Limits.increments.contains(total) && Limits.increments.contains(done) ? nil : .units
    }

    /// The explanation for the log.
    var reason: String {
        switch self {
        case .task: "a task must have 1 to \(Limits.taskLengths.upperBound) Unicode scalars and no U+0000"
        case .execution:
            "the name of an execution must have 1 to \(Limits.executionLengths.upperBound) Unicode scalars and no U+0000"
        case .attempt: "an attempt must be from 1 to \(Limits.attempts.upperBound)"
        case .label: "a label must have at most \(Limits.labelLengths.upperBound) Unicode scalars and no U+0000"
        case .tooManyLabels: "an execution must have at most \(Limits.labelsPerExecutionMax) labels"
        case .units: "units must be from 0 to \(Limits.increments.upperBound)"
        case .link:
            "a link must be an http or https URL, percent-encoded and without a user or a password; it is dropped, and "
                + "the units count"
        case .unit:
            "a unit must have 1 to \(Limits.unitLengths.upperBound) Unicode scalars without control characters; it is "
                + "dropped, and the units count"
        case .ended: "the execution has ended"
        case .canceled: "the process is ending; only earlier reports are sent"
        }
    }
}
