internal import HTTPTypes
internal import HummingbirdCore
internal import Ledger
internal import NIOCore

/// Writes what comes into a buffer as server-sent events.
struct WatchResponse: Sendable {
    let subscription: WatchSubscription
    /// The job, where it is one that is watched, and not a list.
    let job: JobID?
    /// The snapshot that the client has already: its `Last-Event-ID`.
    let known: StreamPosition?

    static let headers: HTTPFields = [
        .contentType: "text/event-stream", .cacheControl: "no-store",
        // What nginx is told so that it passes events on as they come.
        .accelBuffering: "no",
    ]

    /// The stream as an answer to this request.
    func answer(to request: Request) -> LedgerResponse {
        LedgerResponse(
            status: .ok, headers: Self.headers,
            body: .live { writer in
                let buffer = subscription.buffer
                try await request.body.consumeWithInboundCloseHandler { _ in
                    try await write(to: &writer)
                } onInboundClosed: {
                    buffer.close()
                }
            })
    }

    @concurrent
    private func write(to writer: inout any ResponseBodyWriter) async throws {
        try await writer.write(ServerSentEvents.greeting)
        var text = ServerSentEvents(job: job, known: known)
        while let contents = await subscription.buffer.next() {
            let (parts, isEnd) = text.parts(of: contents)
            try await writer.write(contentsOf: parts)
            if isEnd { return }
        }
    }
}

/// What a watcher is sent, out of what comes into its buffer.
struct ServerSentEvents: Sendable {
    /// The job, where it is one that is watched, and not a list.
    let job: JobID?
    /// The snapshot that the client has already.
    private var known: StreamPosition?

    init(job: JobID?, known: StreamPosition?) {
        self.job = job
        self.known = known
    }

    /// What a stream begins with. Those who are cut off together shall not all come back together.
    static var greeting: ByteBuffer {
        ByteBuffer(string: "retry: \(Int.random(in: 1_000...3_000))\n: watching\n\n")
    }

    /// The contents as text.
    ///
    /// - Returns: Its parts, and whether nothing more is to come.
    mutating func parts(of contents: ConflatingBuffer.Contents) -> (parts: [ByteBuffer], isEnd: Bool) {
        var parts: [ByteBuffer] = []
        if let list = contents.list { parts.append(list) }
        if job != nil, let encoded = contents.first {
            parts.append(Self.has(known, encoded) ? encoded.id : encoded.snapshotWithID)
            if encoded.isEnd { return (parts + [encoded.end], true) }
            known = nil
        } else {
            parts += contents.encodedSnapshots.map(\.snapshot)
        }
        if parts.isEmpty { parts.append(ByteBuffer(string: ":\n\n")) }
        return (parts, false)
    }

    /// Whether the client has this snapshot already. Of a job that a replay has been applied to a sequence does not tell:
    /// then it is sent once more rather than once too little.
    private static func has(_ known: StreamPosition?, _ encoded: EncodedSnapshot) -> Bool {
        known == StreamPosition(encoded.version) && encoded.version.projection == 1
    }
}

extension HTTPField.Name {
    static let accelBuffering = known("X-Accel-Buffering")
    static let lastEventID = known("Last-Event-ID")
}
