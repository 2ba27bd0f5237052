internal import HTTPTypes
internal import Ledger
internal import LedgerStore

/// The entity tag of a snapshot (RFC 9110, section 8.8.3).
///
/// It is opaque to clients. It changes with every folded event, and when a replay has replaced the projection. The hash
/// of the last event distinguishes histories in which the same sequence is another event.
struct SnapshotTag {
    let text: String

    init(_ view: JobView, _ policy: CountingPolicy) {
        let version = view.version ?? .unknown
        self.init(projection: version.projection, sequence: view.snapshot.sequence, history: version.history, policy)
    }

    init(_ stamp: SnapshotStamp) {
        self.init(projection: stamp.projection, sequence: stamp.sequence, history: stamp.history, .last)
    }

    private init(projection: Int16, sequence: Int64, history: EventHash, _ policy: CountingPolicy) {
        text = "W/\"\(policy.rawValue)-\(projection)-\(sequence)-\(String(history.prefix, radix: 16))\""
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
