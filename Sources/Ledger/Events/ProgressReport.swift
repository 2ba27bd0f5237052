/// The units that one execution declares and reports on one indicator.
public struct ProgressReport: Hashable, Sendable {
    /// The execution.
    public var reference: ExecutionReference
    /// The number that the reporter gave this report.
    public var report: Int64?
    /// The label of the indicator; nil is the default indicator.
    ///
    /// The empty label means the same and is stored as nil.
    public let label: Name?
    /// Additional units to do; absent means 0.
    public var total: Int64?
    /// Additional units done; absent means 0.
    public var done: Int64?
    /// The units of `done` that an earlier execution did; absent means 0.
    ///
    /// An execution that resumes from a checkpoint reports them.
    public var carried: Int64? { rare?.fields.carried }
    /// The unit of the indicator, such as `bytes`.
    ///
    /// The first event that gives one for the label fixes it.
    public var unit: Name? { rare?.fields.unit }
    /// The process within the execution that numbered the report.
    ///
    /// Nil for the execution itself.
    public var part: Name? { rare?.fields.part }
    private let rare: Boxed<RareFields>?

    /// The fields that most reports lack.
    private struct RareFields: Hashable, Sendable {
        let carried: Int64?
        let unit: Name?
        let part: Name?
    }

    public init(
        reference: ExecutionReference, report: Int64? = nil, label: Name? = nil, total: Int64? = nil,
        done: Int64? = nil, carried: Int64? = nil, unit: Name? = nil, part: Name? = nil
    ) {
        self.reference = reference
        self.report = report
        self.label = label.flatMap { $0.text.utf8.isEmpty ? nil : $0 }
        self.total = total
        self.done = done
        rare =
            carried == nil && unit == nil && part == nil
            ? nil : Boxed(RareFields(carried: carried, unit: unit, part: part))
    }

    /// The units of `done` that this execution did itself.
    var workedDone: Int64 { (done ?? 0) - (carried ?? 0) }
}
