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

    public init(
        reference: ExecutionReference, report: Int64? = nil, label: Name? = nil, total: Int64? = nil,
        done: Int64? = nil
    ) {
        self.reference = reference
        self.report = report
        self.label = label.flatMap { $0.text.utf8.isEmpty ? nil : $0 }
        self.total = total
        self.done = done
    }
}
