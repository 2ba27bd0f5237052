internal import Ledger
internal import LedgerStore
internal import LedgerWire
internal import Synchronization

/// A cache of snapshot responses, each with the stamp of its snapshot.
///
/// Responses are revalidated before use: the caller asks the ledger for the present stamp. The cache saves reading and
/// encoding a snapshot, not finding out which one is current.
final class ResponseCache: Sendable {
    private struct Entry {
        let stamp: SnapshotStamp
        /// The body; the head is made from the stamp, because it would take more memory than all the rest.
        let bytes: [UInt8]
    }

    /// The memory of all entries, at most.
    static let bytesMax = 64 << 20
    /// A longer body is not stored.
    static let bodyBytesMax = 1 << 20
    /// The memory of an entry beside its body, about: a slot in an array with room for as many again, a slot in a hash
    /// table that is half full, and the header of an array.
    static let overheadBytes = 250

    private let entries = Mutex(ClockCache<JobID, Entry>(costMax: bytesMax))

    /// Whether there is an entry, current or not.
    func contains(_ job: JobID) -> Bool { entries.withLock { $0.peek(job) != nil } }

    /// The memory of all entries, about.
    var byteCount: Int { entries.withLock { $0.cost } }

    /// Returns the body that was stored with this stamp, with the present time as `now`.
    func body(_ job: JobID, _ stamp: SnapshotStamp) -> [UInt8]? {
        guard var body = entries.withLock({ $0.find(job) { $0.stamp == stamp } })?.bytes else { return nil }
        JobResponse.setNow(.now, in: &body)
        return body
    }

    /// Inserts or replaces the body of a response.
    func insert(_ response: LedgerResponse, of job: JobID, _ stamp: SnapshotStamp) {
        guard case .bytes(let bytes) = response.body, bytes.count <= Self.bodyBytesMax else { return }
        // A copy: the array that was written to has room for more than it holds.
        let entry = Entry(stamp: stamp, bytes: bytes.withUnsafeBufferPointer { Array($0) })
        entries.withLock { $0.put(entry, job, cost: bytes.count + Self.overheadBytes) }
    }
}
