import Ledger
package import LedgerWire

/// What an answer's body means. Members that this version does not know are passed over: a server may add some.
package protocol Answer: Sendable {
    init(_ value: JSONValue) throws(AnswerError)
}

extension JobAnswer: Answer {}
extension Explanation: Answer {}
extension Difference: Answer {}
extension Curve: Answer {}
extension VerificationAnswer: Answer {}
extension Replay: Answer {}
extension LedgerStatus: Answer {}

extension JSONValue {
    func text(_ field: String) throws(AnswerError) -> String {
        guard let text = self[field]?.text else { throw AnswerError(field: field) }
        return text
    }

    func integer<Integer: FixedWidthInteger>(_ field: String) throws(AnswerError) -> Integer {
        guard let integer = self[field]?.integer.flatMap({ Integer(exactly: $0) }) else {
            throw AnswerError(field: field)
        }
        return integer
    }

    func integerIfPresent<Integer: FixedWidthInteger>(_ field: String) throws(AnswerError) -> Integer? {
        switch self[field] {
        case nil, .null: nil
        default: try integer(field)
        }
    }

    func nameIfPresent(_ field: String) -> Name? {
        self[field]?.text.map { Name($0) }
    }

    func elements(_ field: String) throws(AnswerError) -> [JSONValue] {
        guard let elements = self[field]?.elements else { throw AnswerError(field: field) }
        return elements
    }

    /// The sequences that an append was given.
    func sequences() throws(AnswerError) -> ClosedRange<Int64> {
        let first: Int64 = try integer("first_sequence")
        let last: Int64 = try integer("last_sequence")
        guard first <= last else { throw AnswerError(field: "last_sequence") }
        return first...last
    }
}
