internal import HTTPTypes
internal import Ledger
internal import NIOCore

/// Encodes the contents of a buffer as the server-sent events of one stream.
struct ServerSentEvents: Sendable {
    /// The header fields of a stream.
    static let headers: HTTPFields = [
        .contentType: "text/event-stream", .cacheControl: "no-store",
        // Makes nginx pass events on as they come.
        .accelBuffering: "no",
    ]

    /// The job that is watched; nil for a list of jobs.
    private let job: JobID?
    /// The snapshot that the client has; nil once another one was sent.
    private var known: StreamPosition?

    init(job: JobID?, known: StreamPosition?) {
        self.job = job
        self.known = known
    }

    /// The beginning of a stream.
    ///
    /// Clients that are disconnected together get different pauses, so that they do not all come back at once.
    static var greeting: ByteBuffer {
        ByteBuffer(string: "retry: \(Int.random(in: 1_000...3_000))\n: watching\n\n")
    }

    /// Encodes contents.
    ///
    /// - Returns: The parts of the text, and whether the stream ends after them.
    mutating func parts(of contents: ConflatingBuffer.Contents) -> (parts: [ByteBuffer], isEnd: Bool) {
        var parts: [ByteBuffer] = []
        if let list = contents.list { parts.append(list) }
        if job != nil, let snapshot = contents.first {
            parts.append(Self.has(known, snapshot) ? snapshot.id : snapshot.snapshotWithID)
            if snapshot.isEnd { return (parts + [snapshot.end], true) }
            known = nil
        } else {
            parts += contents.snapshots.map(\.snapshot)
        }
        if parts.isEmpty { parts.append(ByteBuffer(string: ":\n\n")) }
        return (parts, false)
    }

    /// Whether the client has this snapshot.
    ///
    /// After a replay was applied, the same position may be another snapshot; then it is sent again.
    private static func has(_ known: StreamPosition?, _ snapshot: EncodedSnapshot) -> Bool {
        known == StreamPosition(snapshot.version) && snapshot.version.projection == 1
    }
}

extension HTTPField.Name {
    static let accelBuffering = known("X-Accel-Buffering")
    static let lastEventID = known("Last-Event-ID")
}
