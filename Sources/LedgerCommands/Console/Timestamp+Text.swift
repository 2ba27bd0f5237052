import Ledger
import LedgerWire

extension Timestamp {
    /// The time in RFC 3339, to the second, for tables.
    var textToTheSecond: String { RFC3339.text(self).prefix(19) + "Z" }
}
