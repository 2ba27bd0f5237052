public import Ledger
import LedgerWire

/// The snapshots of a job: the current one, then each change until the job ends.
///
/// The server sends at most ten snapshots a second, always the newest, and skips those in between. Each iteration uses
/// a separate connection. The connection is lost if no data arrives within ``LedgerClient/Settings/deadline``; the
/// server sends something every 15 seconds. To continue after a loss, watch again from the last sequence.
public struct JobWatch: AsyncSequence, Sendable {
    public typealias Failure = LedgerClientError

    /// One element of the sequence.
    public enum Update: Sendable {
        /// The job with its snapshot, and the JSON that the server sent.
        case snapshot(JobView, json: String)
        /// The job has ended. The snapshot before this one is final.
        case end
    }

    /// The longest line, in bytes, that one snapshot may have.
    ///
    /// A job of a hundred thousand indicators with long labels stays below.
    private static let lineBytesMax = 64 * 1_048_576

    let lines: LineStream

    init(_ client: LedgerClient, _ request: LedgerRequest) {
        lines = LineStream(client: client, request: request, lineBytesMax: Self.lineBytesMax)
    }

    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(lines: lines.makeAsyncIterator())
    }

    public struct AsyncIterator: AsyncIteratorProtocol {
        var lines: LineStream.AsyncIterator
        private var event = ""
        private var isOver = false
        /// The server's clock as of the last update; nil if the server has not sent it.
        package private(set) var clock: ServerClock?

        init(lines: LineStream.AsyncIterator) {
            self.lines = lines
        }

        /// Returns the next update, or nil after the end of the job.
        ///
        /// If the server ends the stream before the job has ended, this throws
        /// ``LedgerClientError/Code/unreachable``.
        public mutating func next() async throws(LedgerClientError) -> Update? {
            guard !isOver else { return nil }
            while let line = try await lines.next() {
                clock = clock ?? lines.clock
                let text = String(decoding: line, as: UTF8.self)
                if let name = Self.value("event", of: text) { event = name }
                // The ledger writes the `data` line of an event last.
                guard let data = Self.value("data", of: text) else { continue }
                switch event {
                case "snapshot": return .snapshot(try readJob(data), json: data)
                case "end":
                    isOver = true
                    return .end
                default: continue
                }
            }
            throw LedgerClientError(
                .unreachable, "The server ended the stream before the job ended.",
                remedy: "The server may be restarting: try again.")
        }

        private static func value(_ field: String, of line: String) -> String? {
            guard line.utf8.starts(with: "\(field):".utf8) else { return nil }
            let value = line.utf8.dropFirst(field.utf8.count + 1)
            return String(value.first == UInt8(ascii: " ") ? value.dropFirst() : value)
        }

        private mutating func readJob(_ data: String) throws(LedgerClientError) -> JobView {
            do {
                let body = try JSONReader.read(Array(data.utf8))
                clock = ServerClock(body) ?? clock
                return try JobView(body)
            } catch {
                throw LedgerClientError(.unexpectedResponse, "Cannot read an event of the stream as a job: \(error)")
            }
        }
    }
}

extension LedgerClient {
    /// Follows a job until it ends.
    ///
    /// - Parameters:
    ///   - job: The job.
    ///   - sequence: The sequence of the snapshot that the caller has already, which is not sent again; nil if the
    ///     caller has none.
    public func watch(_ job: JobID, after sequence: EventSequence? = nil) -> JobWatch {
        JobWatch(self, .watch(job, after: sequence))
    }
}
