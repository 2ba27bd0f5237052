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
    let known: Int64?

    /// The stream as an answer to this request.
    func answer(to request: Request) -> Answer {
        Answer(
            status: .ok,
            headers: [
                .contentType: "text/event-stream", .cacheControl: "no-store",
                // What nginx is told so that it passes events on as they come.
                .accelBuffering: "no",
            ],
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
        // Those who are cut off together shall not all come back together.
        try await writer.write(ByteBuffer(string: "retry: \(Int.random(in: 1_000...3_000))\n: watching\n\n"))
        var known = known
        while let mail = await ticket.mailbox.next() {
            var parts: [ByteBuffer] = []
            if let list = mail.list { parts.append(list) }
            for (_, frame) in mail.frames.sorted(by: { $0.key > $1.key }) {
                let isOfOne = job != nil
                if isOfOne { parts.append(frame.id) }
                if !isOfOne || !Self.has(known, frame) { parts.append(frame.snapshot) }
                if isOfOne, frame.isEnd {
                    parts.append(frame.end)
                    return try await writer.write(contentsOf: parts)
                }
                known = nil
            }
            if parts.isEmpty { parts.append(ByteBuffer(string: ":\n\n")) }
            try await writer.write(contentsOf: parts)
        }
    }

    /// Whether the client has this snapshot already. Of a job that a replay has been applied to a sequence does not tell:
    /// then it is sent once more rather than once too little.
    private static func has(_ known: Int64?, _ frame: WatchFrame) -> Bool {
        known == frame.version.sequence && frame.version.projection == 1
    }
}

extension HTTPField.Name {
    static let accelBuffering = HTTPField.Name("X-Accel-Buffering") ?? .cacheControl
    static let lastEventID = HTTPField.Name("Last-Event-ID") ?? .range
}
