public import Ledger

// Tests state the ids that they expect as numbers.

extension TaskID: ExpressibleByIntegerLiteral {
    public init(integerLiteral sequence: Int64) { self.init(sequence) }
}

extension ExecutionID: ExpressibleByIntegerLiteral {
    public init(integerLiteral sequence: Int64) { self.init(sequence) }
}

extension IndicatorID: ExpressibleByIntegerLiteral {
    public init(integerLiteral sequence: Int64) { self.init(sequence) }
}
