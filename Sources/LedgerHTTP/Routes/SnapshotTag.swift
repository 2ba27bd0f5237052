internal import HTTPTypes
internal import Ledger
internal import LedgerStore

/// The entity tag of a snapshot (RFC 9110, section 8.8.3).
///
/// Opaque to its reader. It changes with every event that is folded, and when a replay has put another projection in the
/// place of this one. The hash of the last event tells apart histories in which the same sequence is another event.
struct SnapshotTag {
    let text: String

    init(_ view: JobView, _ policy: CountingPolicy) {
        self.init(projection: view.projection, sequence: view.snapshot.sequence, history: view.history, policy)
    }

    init(_ stamp: SnapshotStamp) {
        self.init(projection: stamp.projection, sequence: stamp.sequence, history: stamp.history, .last)
    }

    private init(projection: Int16, sequence: Int64, history: EventHash, _ policy: CountingPolicy) {
        text = "W/\"\(policy.rawValue)-\(projection)-\(sequence)-\(String(history.prefix, radix: 16))\""
    }

    /// Whether the values of `If-None-Match` name it.
    func isAmong(_ fields: [String]) -> Bool {
        EntityTag(text).isAmong(fields)
    }

    /// The answer to whoever has named it.
    func unchanged(_ headers: HTTPFields = [:]) -> LedgerResponse {
        var headers = headers
        headers[.eTag] = text
        return LedgerResponse(status: .notModified, headers: headers)
    }
}
