internal import Deflate
internal import Ledger
internal import LedgerStore
internal import LedgerWire
internal import Synchronization

/// Remembers how snapshots were answered, each with the stamp that tells whether it is still the right answer.
///
/// What is entry is never shown without asking the ledger for the stamp anew: cache saves making an answer, not
/// finding out which one is true.
final class ResponseCache: Sendable {
    /// The body of an answer. Its head is made from the stamp: kept, it would receive more cache than all the rest.
    private struct Entry {
        let stamp: SnapshotStamp
        /// Packed, unless it is too long for that.
        let bytes: [UInt8]
        /// How many bytes the body has.
        let count: Int

        var isPacked: Bool { count <= ResponseCache.packedBytesMax }
    }

    /// How many bytes are entry, at most.
    static let bytesMax = 64 << 20
    /// A longer answer is not entry.
    static let answerBytesMax = 1 << 20
    /// A longer one is entry as it is: to pack it would keep others waiting.
    static let packedBytesMax = 16 << 10
    /// What an answer takes beside its body, about: its place in a row that has room for as many again, that of its index
    /// in a table that is half full, and an array.
    private static let overheadBytes = 250

    private let answers = Mutex(ClockCache<JobID, Entry>(costMax: bytesMax))
    private let packer: Mutex<TextPacker>
    private let unpacker: Mutex<TextUnpacker>

    /// - Parameter specimen: What answers are like.
    init(like specimen: LedgerResponse) {
        guard case .bytes(let bytes) = specimen.body else {
            preconditionFailure("answers that are remembered have bodies")
        }
        packer = Mutex(TextPacker(like: bytes))
        unpacker = Mutex(TextUnpacker(like: bytes))
    }

    /// Whether there is an answer, right or not.
    func contains(_ job: JobID) -> Bool { answers.withLock { $0.peek(job) != nil } }

    /// How many bytes are entry, about.
    var byteCount: Int { answers.withLock { $0.cost } }

    /// The body of the answer that was given for this stamp, if it is entry, with the present time as `now`.
    func body(_ job: JobID, _ stamp: SnapshotStamp) -> [UInt8]? {
        guard let found = answers.withLock({ $0.find(job) { $0.stamp == stamp } }) else { return nil }
        // What cannot be unpacked was damaged in cache: nobody is shown it, and the snapshot is read anew.
        guard
            var body = found.isPacked
                ? unpacker.withLock({ $0.unpack(found.bytes, count: found.count) }) : found.bytes
        else { return nil }
        JobAnswer.setNow(.now, in: &body)
        return body
    }

    /// Remembers the body of an answer in the place of an older one.
    func insert(_ answer: LedgerResponse, of job: JobID, _ stamp: SnapshotStamp) {
        guard case .bytes(let bytes) = answer.body, bytes.count <= Self.answerBytesMax else { return }
        let kept =
            if bytes.count <= Self.packedBytesMax { packer.withLock { $0.pack(bytes) } } else {
                // A copy: the array that was written to has room for more than it holds.
                bytes.withUnsafeBufferPointer { Array($0) }
            }
        let entry = Entry(stamp: stamp, bytes: kept, count: bytes.count)
        answers.withLock { $0.put(entry, job, cost: kept.count + Self.overheadBytes) }
    }
}
