public import Ledger

// Tests state the ids that they expect as numbers.

extension TaskID: ExpressibleByIntegerLiteral {
    public init(integerLiteral number: Int64) { self.init(EventSequence(number)) }
}

extension ExecutionID: ExpressibleByIntegerLiteral {
    public init(integerLiteral number: Int64) { self.init(EventSequence(number)) }
}

extension IndicatorID: ExpressibleByIntegerLiteral {
    public init(integerLiteral number: Int64) { self.init(EventSequence(number)) }
}
