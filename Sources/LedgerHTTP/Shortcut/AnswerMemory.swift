internal import Deflate
internal import Ledger
internal import LedgerStore
internal import Synchronization

/// Remembers how snapshots were answered, each with the stamp that tells whether it is still the right answer.
///
/// What is remembered is never shown without asking the ledger for the stamp anew: memory saves making an answer, not
/// finding out which one is true.
final class AnswerMemory: Sendable {
    /// The body of an answer. Its head is made from the stamp: kept, it would take more memory than all the rest.
    private struct Remembered {
        let stamp: SnapshotStamp
        /// Packed, unless it is too long for that.
        let bytes: [UInt8]
        /// How many bytes the body has.
        let count: Int

        var isPacked: Bool { count <= AnswerMemory.packedBytesMax }
    }

    /// How many bytes are remembered, at most: twice this. When that many new ones have come, those that nobody has
    /// asked for since the last time are forgotten.
    static let generationBytesMax = 24 << 20
    /// A longer answer is not remembered.
    static let answerBytesMax = 1 << 20
    /// A longer one is remembered as it is: to pack it would keep others waiting.
    static let packedBytesMax = 16 << 10
    /// What an answer takes beside its body, about: its place in a table that is half full, and an array.
    private static let overheadBytes = 250

    private struct Generations {
        var young: [JobID: Remembered] = [:]
        var old: [JobID: Remembered] = [:]
        var youngBytes = 0
    }

    private let generations = Mutex(Generations())
    private let packer: Mutex<TextPacker>
    private let unpacker: Mutex<TextUnpacker>

    /// - Parameter specimen: What answers are like.
    init(like specimen: Answer) {
        guard case .bytes(let bytes) = specimen.body else {
            preconditionFailure("answers that are remembered have bodies")
        }
        packer = Mutex(TextPacker(like: bytes))
        unpacker = Mutex(TextUnpacker(like: bytes))
    }

    /// Whether there is an answer, right or not.
    func knows(_ job: JobID) -> Bool {
        generations.withLock { $0.young[job] != nil || $0.old[job] != nil }
    }

    /// How many bytes are remembered, about.
    var byteCount: Int {
        generations.withLock { $0.youngBytes + $0.old.values.reduce(0) { $0 + Self.size($1) } }
    }

    /// The body of the answer that was given for this stamp, if it is remembered.
    func body(_ job: JobID, _ stamp: SnapshotStamp) -> [UInt8]? {
        let found: Remembered? = generations.withLock { generations in
            if let found = generations.young[job] { return found.stamp == stamp ? found : nil }
            guard let found = generations.old.removeValue(forKey: job), found.stamp == stamp else { return nil }
            Self.keep(found, of: job, in: &generations)
            return found
        }
        guard let found, found.isPacked else { return found?.bytes }
        // What cannot be unpacked was damaged in memory: nobody is shown it, and the snapshot is read anew.
        return unpacker.withLock { $0.unpack(found.bytes, count: found.count) }
    }

    /// Remembers the body of an answer in the place of an older one.
    func remember(_ answer: Answer, of job: JobID, _ stamp: SnapshotStamp) {
        guard case .bytes(let bytes) = answer.body, bytes.count <= Self.answerBytesMax else { return }
        let kept =
            if bytes.count <= Self.packedBytesMax { packer.withLock { $0.pack(bytes) } } else {
                // A copy: the array that was written to has room for more than it holds.
                bytes.withUnsafeBufferPointer { Array($0) }
            }
        let remembered = Remembered(stamp: stamp, bytes: kept, count: bytes.count)
        generations.withLock { generations in
            generations.old[job] = nil
            Self.keep(remembered, of: job, in: &generations)
        }
    }

    private static func size(_ remembered: Remembered) -> Int { remembered.bytes.count + overheadBytes }

    private static func keep(_ remembered: Remembered, of job: JobID, in generations: inout Generations) {
        let replaced = generations.young.updateValue(remembered, forKey: job)
        generations.youngBytes += size(remembered) - (replaced.map(size) ?? 0)
        guard generations.youngBytes > generationBytesMax else { return }
        generations.old = generations.young
        generations.young = [:]
        generations.youngBytes = 0
    }
}
