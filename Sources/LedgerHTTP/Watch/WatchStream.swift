internal import HTTPTypes
internal import HummingbirdCore
internal import Ledger
internal import NIOCore

/// Writes what comes into a mailbox as server-sent events.
struct WatchStream: Sendable {
    let ticket: WatchTicket
    /// The job, where it is one that is watched, and not a list.
    let job: JobID?
    /// The snapshot that the client has already: its `Last-Event-ID`.
    let known: WatchPosition?

    static let headers: HTTPFields = [
        .contentType: "text/event-stream", .cacheControl: "no-store",
        // What nginx is told so that it passes events on as they come.
        .accelBuffering: "no",
    ]

    /// The stream as an answer to this request.
    func answer(to request: Request) -> Answer {
        Answer(
            status: .ok, headers: Self.headers,
            body: .live { writer in
                let mailbox = ticket.mailbox
                try await request.body.consumeWithInboundCloseHandler { _ in
                    try await write(to: &writer)
                } onInboundClosed: {
                    mailbox.close()
                }
            })
    }

    @concurrent
    private func write(to writer: inout any ResponseBodyWriter) async throws {
        try await writer.write(WatchText.greeting)
        var text = WatchText(job: job, known: known)
        while let mail = await ticket.mailbox.next() {
            let (parts, isEnd) = text.parts(of: mail)
            try await writer.write(contentsOf: parts)
            if isEnd { return }
        }
    }
}

/// What a watcher is sent, out of what comes into its mailbox.
struct WatchText: Sendable {
    /// The job, where it is one that is watched, and not a list.
    let job: JobID?
    /// The snapshot that the client has already.
    private var known: WatchPosition?

    init(job: JobID?, known: WatchPosition?) {
        self.job = job
        self.known = known
    }

    /// What a stream begins with. Those who are cut off together shall not all come back together.
    static var greeting: ByteBuffer {
        ByteBuffer(string: "retry: \(Int.random(in: 1_000...3_000))\n: watching\n\n")
    }

    /// The mail as text.
    ///
    /// - Returns: Its parts, and whether nothing more is to come.
    mutating func parts(of mail: WatchMailbox.Mail) -> (parts: [ByteBuffer], isEnd: Bool) {
        var parts: [ByteBuffer] = []
        if let list = mail.list { parts.append(list) }
        if job != nil, let frame = mail.first {
            parts.append(Self.has(known, frame) ? frame.id : frame.snapshotWithID)
            if frame.isEnd { return (parts + [frame.end], true) }
            known = nil
        } else {
            parts += mail.frames.map(\.snapshot)
        }
        if parts.isEmpty { parts.append(ByteBuffer(string: ":\n\n")) }
        return (parts, false)
    }

    /// Whether the client has this snapshot already. Of a job that a replay has been applied to a sequence does not tell:
    /// then it is sent once more rather than once too little.
    private static func has(_ known: WatchPosition?, _ frame: WatchFrame) -> Bool {
        known == WatchPosition(frame.version) && frame.version.projection == 1
    }
}

extension HTTPField.Name {
    static let accelBuffering = known("X-Accel-Buffering")
    static let lastEventID = known("Last-Event-ID")
}
