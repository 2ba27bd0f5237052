internal import HTTPTypes
internal import Ledger
internal import LedgerStore

/// The entity tag of a snapshot (RFC 9110, section 8.8.3).
///
/// It is opaque to clients. It changes with every folded event, and when a replay has replaced the projection. The hash
/// of the last event distinguishes histories in which the same sequence is another event. A stall or a silence that has
/// begun or ended changes it, too: that needs no event.
struct SnapshotTag {
    let text: String

    init(_ view: JobView, _ policy: CountingPolicy) {
        let version = view.version ?? .unknown
        let history = String(version.history.prefix, radix: 16)
        let stalls = view.stalls.map { Self.text($0) } ?? ""
        text = "W/\"\(policy.rawValue)-\(version.projection)-\(view.snapshot.sequence)-\(history)\(stalls)\""
    }

    /// The tag of a stored response.
    init(text: String) {
        self.text = text
    }

    /// The stalls as a part of the tag; empty without any.
    private static func text(_ stalls: JobStalls) -> String {
        guard stalls != .none else { return "" }
        // The times of the indicators are shortened to their sum.
        let times = stalls.indicators.values.reduce(0) { $0 &+ $1.microseconds }
        return "-\(stalls.since == nil ? 0 : 1).\(stalls.silentCount).\(String(times, radix: 16))"
    }

    /// Whether the values of `If-None-Match` contain it.
    func matches(_ fields: [String]) -> Bool {
        EntityTag(text).matches(fields)
    }

    /// The response to a client that has the snapshot.
    func unchanged() -> LedgerResponse {
        LedgerResponse(status: .notModified, headers: [.eTag: text])
    }

    /// The response with an encoded snapshot.
    func response(_ body: [UInt8]) -> LedgerResponse {
        LedgerResponse(status: .ok, headers: [.eTag: text], contentType: "application/json", bytes: body)
    }
}
