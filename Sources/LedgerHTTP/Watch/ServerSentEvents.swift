internal import HTTPTypes
internal import Ledger
internal import NIOCore

/// Encodes the contents of a buffer as the server-sent events of one stream.
struct ServerSentEvents: Sendable {
    /// The header fields of a stream.
    static let headers: HTTPFields = [
        .contentType: "text/event-stream", .cacheControl: "no-store",
        // Makes nginx forward events immediately.
        .accelBuffering: "no",
    ]

    /// The job that is watched; nil for a list of jobs.
    private let job: JobID?
    /// The position that the client has; nil once a snapshot was sent.
    private var position: StreamPosition?

    init(job: JobID?, position: StreamPosition?) {
        self.job = job
        self.position = position
    }

    /// The beginning of a stream.
    ///
    /// The pause is random, so that clients that are disconnected together do not all reconnect at once.
    static var greeting: ByteBuffer {
        ByteBuffer(string: "retry: \(Int.random(in: 1_000...3_000))\n: watching\n\n")
    }

    /// Encodes contents.
    ///
    /// - Returns: The parts of the text, and whether the stream ends after them.
    mutating func parts(of contents: NewestUpdateBuffer.Contents) -> (parts: [ByteBuffer], isEnd: Bool) {
        var parts: [ByteBuffer] = []
        if let list = contents.list { parts.append(list) }
        if job != nil, let snapshot = contents.first {
            parts.append(Self.isCurrent(position, snapshot) ? snapshot.id : snapshot.snapshotWithID)
            if snapshot.isEnd { return (parts + [snapshot.end], true) }
            position = nil
        } else {
            parts += contents.snapshots.map(\.snapshot)
        }
        if parts.isEmpty { parts.append(ByteBuffer(string: ":\n\n")) }
        return (parts, false)
    }

    /// Whether a client at this position has the snapshot.
    ///
    /// After a replay was applied, the same position may be another snapshot; then it is sent again.
    private static func isCurrent(_ position: StreamPosition?, _ snapshot: EncodedSnapshot) -> Bool {
        position == StreamPosition(snapshot.version) && snapshot.version.projection == 1
    }
}

extension HTTPField.Name {
    static let accelBuffering = literal("X-Accel-Buffering")
    static let lastEventID = literal("Last-Event-ID")
}
