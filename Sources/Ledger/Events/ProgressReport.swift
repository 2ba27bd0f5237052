/// Units declared and done on one indicator by one run.
public struct ProgressReport: Hashable, Sendable {
    /// The run.
    public var reference: ExecutionReference
    /// The reporter's own number of this report.
    public var report: Int64?
    /// The indicator; nil is the default one. The empty label means the same and is kept as nil.
    public let label: Name?
    /// Units more to do; absent means 0.
    public var total: Int64?
    /// Units more done; absent means 0.
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
