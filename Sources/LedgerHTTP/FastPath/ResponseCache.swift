internal import HTTPTypes
internal import Ledger
internal import LedgerStore
internal import LedgerWire
internal import Synchronization

/// A cache of snapshot responses, each with the stamp of its snapshot.
///
/// Responses are revalidated before use: the caller asks the ledger for the present stamp. The cache saves reading and
/// encoding a snapshot, but not the query for the stamp.
final class ResponseCache: Sendable {
    private struct Entry {
        let stamp: SnapshotStamp
        let tag: SnapshotTag
        /// The body.
        ///
        /// The rest of the head is made again, because it would take more memory than the rest of the entry.
        let bytes: [UInt8]
        /// The time from which on its estimate is too old; nil for never.
        let expiresAt: ContinuousClock.Instant?

        func isFresh(at now: ContinuousClock.Instant) -> Bool { expiresAt.map { now < $0 } ?? true }
    }

    /// The maximum memory of all entries, in bytes.
    static let bytesMax = 64 << 20
    /// The maximum length of a stored body, in bytes.
    static let bodyBytesMax = 1 << 20
    /// The approximate memory of an entry without its body, in bytes.
    ///
    /// That is a slot in an array that is half full, a slot in a hash table that is half full, and the header of an
    /// array.
    static let overheadBytes = 330

    /// The time for which the response of a running job is used.
    ///
    /// Its estimate and its stalls change although no event arrives. `now` is replaced at each use, but they are not.
    static let estimateAgeMax: Duration = .seconds(1)

    private let entries = Mutex(BoundedCache<JobID, Entry>(costMax: bytesMax))
    private let now: @Sendable () -> ContinuousClock.Instant

    /// Creates an empty cache.
    ///
    /// - Parameter now: The clock by which the estimates in responses age.
    init(now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }) {
        self.now = now
    }

    /// Whether there is an entry that may be used if its snapshot is current.
    ///
    /// - Parameter sequence: The sequence that the snapshot must have reached.
    func contains(_ job: JobID, atLeast sequence: EventSequence = .start) -> Bool {
        entries.withLock { entries in
            entries.peek(job).map { $0.isFresh(at: now()) && $0.stamp.sequence >= sequence } ?? false
        }
    }

    /// The approximate memory of all entries, in bytes.
    var byteCount: Int { entries.withLock { $0.cost } }

    /// The tag and the body that were stored with this stamp.
    ///
    /// The body has the present time as `now`.
    func response(_ job: JobID, _ stamp: SnapshotStamp) -> (tag: SnapshotTag, body: [UInt8])? {
        guard let entry = entries.withLock({ $0.find(job) { $0.stamp == stamp && $0.isFresh(at: now()) } }) else {
            return nil
        }
        var body = entry.bytes
        JobView.setNow(.now, in: &body)
        return (entry.tag, body)
    }

    /// Inserts or replaces the body of a response.
    ///
    /// - Parameter isRunning: Whether the job is running, so that its estimate ages.
    func insert(_ response: LedgerResponse, of job: JobID, _ stamp: SnapshotStamp, isRunning: Bool = false) {
        guard case .bytes(let bytes) = response.body, bytes.count <= Self.bodyBytesMax,
            let tag = response.headers[.eTag]
        else { return }
        // The copy has no spare capacity; the array of the writer does.
        let entry = Entry(
            stamp: stamp, tag: SnapshotTag(text: tag), bytes: bytes.withUnsafeBufferPointer { Array($0) },
            expiresAt: isRunning ? now() + Self.estimateAgeMax : nil)
        entries.withLock { $0.put(entry, job, cost: bytes.count + Self.overheadBytes) }
    }
}
