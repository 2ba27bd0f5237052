internal import HTTPTypes
internal import HummingbirdCore
internal import Ledger
internal import LedgerStore
internal import NIOCore
internal import Synchronization

/// Remembers how snapshots were answered, each with the stamp that tells whether it is still the right answer.
///
/// What is remembered is never shown without asking the ledger for the stamp anew: memory saves making an answer, not
/// finding out which one is true.
final class AnswerMemory: Sendable {
    /// An answer as it was sent.
    struct Remembered: Sendable {
        var stamp: SnapshotStamp
        var head: HTTPResponse
        var body: ByteBuffer
    }

    /// How many bytes are remembered, at most: twice this. When that many new ones have come, those that nobody has
    /// asked for since the last time are forgotten.
    static let generationBytesMax = 16 << 20
    /// A longer answer is not remembered.
    static let answerBytesMax = 1 << 20
    /// What an answer takes beside its body, about.
    private static let overheadBytes = 1_000

    private struct Generations {
        var young: [JobID: Remembered] = [:]
        var old: [JobID: Remembered] = [:]
        var youngBytes = 0
    }

    private let generations = Mutex(Generations())

    /// Whether there is an answer, right or not.
    func knows(_ job: JobID) -> Bool {
        generations.withLock { $0.young[job] != nil || $0.old[job] != nil }
    }

    /// How many bytes are remembered, about.
    var byteCount: Int {
        generations.withLock { $0.youngBytes + $0.old.values.reduce(0) { $0 + Self.size($1) } }
    }

    /// The answer that was given for this stamp, if it is remembered.
    func answer(_ job: JobID, _ stamp: SnapshotStamp) -> Remembered? {
        generations.withLock { generations in
            if let found = generations.young[job] { return found.stamp == stamp ? found : nil }
            guard let found = generations.old.removeValue(forKey: job), found.stamp == stamp else { return nil }
            Self.keep(found, of: job, in: &generations)
            return found
        }
    }

    /// Remembers an answer in the place of an older one.
    func remember(_ answer: Answer, of job: JobID, _ stamp: SnapshotStamp) {
        guard case .bytes(let bytes) = answer.body, bytes.count <= Self.answerBytesMax else { return }
        let remembered = Remembered(stamp: stamp, head: answer.response.head, body: ByteBuffer(bytes: bytes))
        generations.withLock { generations in
            generations.old[job] = nil
            Self.keep(remembered, of: job, in: &generations)
        }
    }

    private static func size(_ remembered: Remembered) -> Int { remembered.body.readableBytes + overheadBytes }

    private static func keep(_ remembered: Remembered, of job: JobID, in generations: inout Generations) {
        let replaced = generations.young.updateValue(remembered, forKey: job)
        generations.youngBytes += size(remembered) - (replaced.map(size) ?? 0)
        guard generations.youngBytes > generationBytesMax else { return }
        generations.old = generations.young
        generations.young = [:]
        generations.youngBytes = 0
    }
}
