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

    /// How many bytes are remembered, at most.
    static let bytesMax = 48 << 20
    /// A longer answer is not remembered.
    static let answerBytesMax = 1 << 20
    /// A longer one is remembered as it is: to pack it would keep others waiting.
    static let packedBytesMax = 16 << 10
    private let shelf = Mutex(Shelf())
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
    func knows(_ job: JobID) -> Bool { shelf.withLock { $0.holds(job) } }

    /// How many bytes are remembered, about.
    var byteCount: Int { shelf.withLock { $0.byteCount } }

    /// The body of the answer that was given for this stamp, if it is remembered.
    func body(_ job: JobID, _ stamp: SnapshotStamp) -> [UInt8]? {
        let found = shelf.withLock { $0.find(job, stamp) }
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
        shelf.withLock { $0.keep(remembered, of: job, bytesMax: Self.bytesMax) }
    }

    /// Answers in a row, along which a hand goes round when there is no room for one more: it takes away the first that
    /// nobody has asked for since it came by last. So what is asked for stays, all of it if there is room for it, and to
    /// note that somebody asks costs next to nothing. ("Clock": F. J. Corbató, A Paging Experiment with the Multics System,
    /// 1968.)
    private struct Shelf {
        private struct Place {
            let job: JobID
            var remembered: Remembered
            var wasAskedFor = false
        }

        /// What an answer takes beside its body, about: its place in a row that has room for as many again, that of its
        /// index in a table that is half full, and an array.
        private static let overheadBytes = 250

        private var places: [Place] = []
        private var indices: [JobID: Int32] = [:]
        private var hand = 0
        private(set) var byteCount = 0

        func holds(_ job: JobID) -> Bool { indices[job] != nil }

        mutating func find(_ job: JobID, _ stamp: SnapshotStamp) -> Remembered? {
            guard let index = indices[job].map(Int.init), places[index].remembered.stamp == stamp else { return nil }
            places[index].wasAskedFor = true
            return places[index].remembered
        }

        mutating func keep(_ remembered: Remembered, of job: JobID, bytesMax: Int) {
            byteCount += Self.size(remembered)
            if let index = indices[job].map(Int.init) {
                byteCount -= Self.size(places[index].remembered)
                places[index] = Place(job: job, remembered: remembered, wasAskedFor: true)
                while byteCount > bytesMax { takeAway() }
            } else {
                while byteCount > bytesMax { takeAway() }
                put(Place(job: job, remembered: remembered))
            }
        }

        /// Puts an answer where the hand has just been, so that it comes by all others before.
        private mutating func put(_ place: Place) {
            places.append(place)
            indices[place.job] = Int32(places.count - 1)
            guard hand > 0 else { return }
            places.swapAt(hand - 1, places.count - 1)
            for index in [hand - 1, places.count - 1] { indices[places[index].job] = Int32(index) }
        }

        /// Each place that the hand passes over was asked for since: so it passes over as many as were asked for.
        private mutating func takeAway() {
            while places[hand].wasAskedFor {
                places[hand].wasAskedFor = false
                goOn()
            }
            let gone = places[hand]
            byteCount -= Self.size(gone.remembered)
            indices[gone.job] = nil
            // The last one takes its place, and the hand goes on from there.
            let last = places.removeLast()
            if last.job != gone.job {
                places[hand] = last
                indices[last.job] = Int32(hand)
            }
            goOn()
        }

        private mutating func goOn() {
            hand += 1
            if hand >= places.count { hand = 0 }
        }

        private static func size(_ remembered: Remembered) -> Int { remembered.bytes.count + overheadBytes }
    }
}
