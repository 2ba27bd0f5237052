internal import Ledger
internal import LedgerStore
internal import LedgerWire
internal import NIOCore

/// A snapshot encoded as server-sent events, once for all subscribers.
///
/// It is an object, so that a buffer holds only a reference.
final class EncodedSnapshot: Sendable {
    /// The identity of a snapshot among those of its job.
    struct Version: Hashable, Sendable {
        /// The number of the projection.
        ///
        /// It changes when a replay is applied, which can change numbers without an event.
        let projection: Int16
        let sequence: EventSequence
        /// The beginning of the hash of its last event, which identifies the history.
        let history: UInt64
    }

    let job: JobID
    let version: Version
    let description: JobDescription
    let state: JobState
    /// The time before its read.
    ///
    /// A snapshot is newer than another one if its read began after the other read had ended, even if its sequence is
    /// lower.
    private let readBegan: ContinuousClock.Instant
    private let readEnded: ContinuousClock.Instant
    /// The stalls at the time of the read, which may begin without an event.
    private let stalls: JobStalls?
    /// Whether the job has finished and the snapshot contains all its events.
    let isEnd: Bool
    /// The line `id: SEQUENCE-HASH`, for streams of one job.
    ///
    /// Streams of a list have no ids, because the events of several jobs have no common order.
    let id: ByteBuffer
    /// The event `snapshot`.
    let snapshot: ByteBuffer
    /// The id and the event.
    let snapshotWithID: ByteBuffer
    /// The event `end`, which follows the last snapshot.
    let end: ByteBuffer

    /// - Parameter began: The time before its read.
    init(_ view: JobView, readSince began: ContinuousClock.Instant) {
        job = view.id
        readBegan = began
        readEnded = .now
        let read = view.version ?? .unknown
        version = Version(
            projection: read.projection, sequence: view.snapshot.sequence, history: read.history.prefix)
        description = view.description
        state = view.snapshot.state
        stalls = view.stalls
        isEnd = state != .running && view.snapshot.sequence == view.ledgerSequence
        var both = ByteBuffer(string: "id: \(StreamPosition(version).text)\n")
        let idLength = both.readableBytes
        var event = EncodedSnapshot.event("snapshot") { view.write(to: &$0, now: .now) }
        both.writeBuffer(&event)
        // Slices share the same bytes.
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

    /// The same snapshot with the present time as `now`, for a later subscriber.
    func stampedNow() -> EncodedSnapshot { EncodedSnapshot(self, now: .now) }

    private init(_ encoded: EncodedSnapshot, now: Timestamp) {
        job = encoded.job
        version = encoded.version
        description = encoded.description
        state = encoded.state
        stalls = encoded.stalls
        isEnd = encoded.isEnd
        readBegan = encoded.readBegan
        readEnded = encoded.readEnded
        end = encoded.end
        var bytes = Array(encoded.snapshotWithID.readableBytesView)
        let idLength = encoded.id.readableBytes
        JobView.setNow(now, in: &bytes, from: idLength + Self.opening("snapshot").utf8.count)
        var both = ByteBuffer(bytes: bytes)
        snapshotWithID = both
        id = both.readSlice(length: idLength) ?? ByteBuffer()
        snapshot = both
    }

    /// Whether this snapshot differs from another one and is not older.
    ///
    /// Concurrent reads may finish in either order; then the higher sequence is newer. A later read is newer in any
    /// case: a lower sequence means that the ledger was restored from a backup.
    func supersedes(_ other: EncodedSnapshot) -> Bool {
        guard version != other.version else {
            return isEnd != other.isEnd || stalls != other.stalls && readBegan > other.readEnded
        }
        guard version.projection == other.version.projection else { return true }
        return version.sequence > other.version.sequence || readBegan > other.readEnded
    }

    /// The event `list` with the jobs of a list, newest first.
    static func list(_ jobs: [JobID]) -> ByteBuffer {
        event("list") { writer in
            writer.object { writer in
                writer.name("jobs")
                writer.array(jobs) { $0.string($1.description) }
            }
        }
    }

    /// The beginning of an event.
    private static func opening(_ name: String) -> String { "event: \(name)\ndata: " }

    /// Encodes an event. JSON is written without line breaks, so its data is one line.
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

/// A position in the stream of a job: the id of one of its events, `SEQUENCE-HASH`.
struct StreamPosition: Hashable, Sendable {
    let sequence: EventSequence
    /// The beginning of that event's hash, which identifies the history.
    ///
    /// Nil if the client sent only a sequence.
    let history: UInt64?

    init(_ version: EncodedSnapshot.Version) {
        sequence = version.sequence
        history = version.history
    }

    /// Parses a `Last-Event-ID`; nil if it is not from a ledger.
    init?(_ text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count <= 2, let sequence = EventSequence(parts[0]) else { return nil }
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
