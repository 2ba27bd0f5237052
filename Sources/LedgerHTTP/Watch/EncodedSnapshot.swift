internal import Ledger
internal import LedgerStore
internal import LedgerWire
internal import NIOCore

/// A snapshot as those who watch it get it: encoded once, however many they are. An object, so that what waits for each of
/// them is a reference and nothing more.
final class EncodedSnapshot: Sendable {
    /// What tells one snapshot of a job from another.
    struct Version: Hashable, Sendable {
        /// Another one after a replay was applied, which changes numbers without an event.
        let projection: Int16
        let sequence: Int64
        /// The beginning of the hash of its last event, which identifies the history.
        let history: UInt64
    }

    let job: JobID
    let version: Version
    let description: JobDescription
    let state: JobState
    /// When its reading began and ended: one that was read after another is newer, whatever its sequence.
    private let readBegan: ContinuousClock.Instant
    private let readEnded: ContinuousClock.Instant
    /// Whether the job has finished and everything in its ledger is in this snapshot.
    let isEnd: Bool
    /// `id: SEQUENCE-HASH`, for the stream of one job: there is no order over several.
    let id: ByteBuffer
    /// The event `snapshot`.
    let snapshot: ByteBuffer
    /// Both, one after the other.
    let snapshotWithID: ByteBuffer
    /// The event `end`, which follows where this is the end.
    let end: ByteBuffer

    /// - Parameter began: When its reading began.
    init(_ view: JobView, readSince began: ContinuousClock.Instant) {
        job = view.id
        readBegan = began
        readEnded = .now
        version = Version(
            projection: view.projection, sequence: view.snapshot.sequence, history: view.history.prefix)
        description = view.description
        state = view.snapshot.state
        isEnd = state != .running && view.snapshot.sequence == view.ledgerSequence
        var both = ByteBuffer(string: "id: \(StreamPosition(version).text)\n")
        let idLength = both.readableBytes
        var event = EncodedSnapshot.event("snapshot") { JobAnswer(view).write(to: &$0) }
        both.writeBuffer(&event)
        // Parts of the same bytes: it is kept once.
        snapshotWithID = both
        id = both.readSlice(length: idLength) ?? ByteBuffer()
        snapshot = both
        end = EncodedSnapshot.event("end") { writer in
            writer.object { writer in
                writer.field("job", view.id.description)
                writer.field("state", view.snapshot.state.rawValue)
                writer.field("sequence", view.snapshot.sequence)
            }
        }
    }

    /// The same snapshot with the present time as `now`, for a watcher that joins later.
    func stampedNow() -> EncodedSnapshot { EncodedSnapshot(self, now: .now) }

    private init(_ encoded: EncodedSnapshot, now: Timestamp) {
        job = encoded.job
        version = encoded.version
        description = encoded.description
        state = encoded.state
        isEnd = encoded.isEnd
        readBegan = encoded.readBegan
        readEnded = encoded.readEnded
        end = encoded.end
        var bytes = Array(encoded.snapshotWithID.readableBytesView)
        let idLength = encoded.id.readableBytes
        JobAnswer.setNow(now, in: &bytes, from: idLength + Self.opening("snapshot").utf8.count)
        var both = ByteBuffer(bytes: bytes)
        snapshotWithID = both
        id = both.readSlice(length: idLength) ?? ByteBuffer()
        snapshot = both
    }

    /// Whether it is another snapshot than this one, and not an older one.
    ///
    /// Two may be read at the same time and arrive in either order; then the higher sequence is newer. One that was read
    /// later is newer in any case: a lower sequence means that the ledger was set back.
    func supersedes(after known: EncodedSnapshot) -> Bool {
        guard version != known.version else { return isEnd != known.isEnd }
        guard version.projection == known.version.projection else { return true }
        return version.sequence > known.version.sequence || readBegan > known.readEnded
    }

    /// The event `list`: which jobs a list holds, newest first.
    static func list(_ jobs: [JobID]) -> ByteBuffer {
        event("list") { writer in
            writer.object { writer in
                writer.name("jobs")
                writer.array(jobs) { $0.string($1.description) }
            }
        }
    }

    /// What an event of the stream begins with.
    private static func opening(_ name: String) -> String { "event: \(name)\ndata: " }

    /// An event of the stream. What is written as JSON has no line breaks, so its data is one line.
    private static func event(_ name: String, _ write: (inout JSONWriter) -> Void) -> ByteBuffer {
        var writer = JSONWriter()
        write(&writer)
        var buffer = ByteBuffer()
        buffer.reserveCapacity(writer.bytes.count + name.utf8.count + 18)
        buffer.writeString(opening(name))
        buffer.writeBytes(writer.bytes)
        buffer.writeString("\n\n")
        return buffer
    }
}

/// What a watcher has seen of a job: the id of an event of its stream, `SEQUENCE-HASH`.
struct StreamPosition: Hashable, Sendable {
    let sequence: Int64
    /// The beginning of that event's hash; nil where a client knows only a sequence, which says nothing of the history.
    let history: UInt64?

    init(_ version: EncodedSnapshot.Version) {
        sequence = version.sequence
        history = version.history
    }

    /// Reads a `Last-Event-ID`; nil where it is none of ours.
    init?(_ text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count <= 2, let sequence = Int64(parts[0]) else { return nil }
        self.sequence = sequence
        guard parts.count == 2 else {
            history = nil
            return
        }
        guard let history = UInt64(parts[1], radix: 16) else { return nil }
        self.history = history
    }

    var text: String { "\(sequence)" + (history.map { "-\(String($0, radix: 16))" } ?? "") }
}
