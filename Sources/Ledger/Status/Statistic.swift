/// One figure for operators, in the form that Prometheus reads.
public struct Statistic: Sendable {
    /// The kinds of figures that Prometheus distinguishes.
    public enum Kind: String, Sendable {
        case counter
        case gauge
    }

    /// The name, in snake_case with the unit last.
    ///
    /// For example `progress_ledger_appended_events_total`.
    public var name: String
    /// The description, in one sentence.
    public var help: String
    /// Whether the value only increases.
    public var kind: Kind
    /// The present value.
    public var value: Double
    /// The labels that distinguish it from others of the same name.
    public var labels: [(name: String, value: String)]

    public init(
        name: String, help: String, kind: Kind, value: Double, labels: [(name: String, value: String)] = []
    ) {
        self.labels = labels
        self.name = name
        self.help = help
        self.kind = kind
        self.value = value
    }
}
