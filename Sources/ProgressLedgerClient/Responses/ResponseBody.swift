import Ledger
package import LedgerWire

/// A value that is decoded from the JSON body of a response.
///
/// Decoding ignores unknown members, because a newer server may add some.
package protocol ResponseBody: Sendable {
    init(_ value: JSONValue) throws(ResponseError)
}

extension JobView: ResponseBody {}
extension JobAnswer: ResponseBody {}
extension NamedTrackRecord: ResponseBody {}
extension Explanation: ResponseBody {}
extension SnapshotDiff: ResponseBody {}
extension IndicatorHistory: ResponseBody {}
extension VerificationResponse: ResponseBody {}
extension Replay: ResponseBody {}
extension LedgerStatus: ResponseBody {}

extension JSONValue {
    func text(_ field: String) throws(ResponseError) -> String {
        guard let text = self[field]?.text else { throw ResponseError(field: field) }
        return text
    }

    func integer<Integer: FixedWidthInteger>(_ field: String) throws(ResponseError) -> Integer {
        guard let integer = self[field]?.integer.flatMap({ Integer(exactly: $0) }) else {
            throw ResponseError(field: field)
        }
        return integer
    }

    func integerIfPresent<Integer: FixedWidthInteger>(_ field: String) throws(ResponseError) -> Integer? {
        switch self[field] {
        case nil, .null: nil
        default: try integer(field)
        }
    }

    func sequence(_ field: String) throws(ResponseError) -> EventSequence {
        let number: Int64 = try integer(field)
        return EventSequence(number)
    }

    func sequenceIfPresent(_ field: String) throws(ResponseError) -> EventSequence? {
        let number: Int64? = try integerIfPresent(field)
        return number.map { EventSequence($0) }
    }

    func nameIfPresent(_ field: String) -> Name? {
        self[field]?.text.map { Name($0) }
    }

    func elements(_ field: String) throws(ResponseError) -> [JSONValue] {
        guard let elements = self[field]?.elements else { throw ResponseError(field: field) }
        return elements
    }

    /// Returns the sequences of the events of an append.
    func sequences() throws(ResponseError) -> ClosedRange<EventSequence> {
        let first = try sequence("first_sequence")
        let last = try sequence("last_sequence")
        guard first <= last else { throw ResponseError(field: "last_sequence") }
        return first...last
    }
}
