internal import FoundationEssentials
package import Ledger

extension Timestamp {
    /// The current time of this machine's clock.
    ///
    /// It may jump. Use it for display and expiry, never for ordering.
    package static var now: Timestamp { Timestamp(microseconds: Int64(Date().timeIntervalSince1970 * 1_000_000)) }
}
