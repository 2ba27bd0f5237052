public import Ledger
public import LedgerWire

/// A job as it moves: its snapshot at once, then whenever it changes, until the job has finished.
///
/// The server sends at most ten a second, always the newest; what was in between is left out. Each iteration is a
/// connection of its own, which is lost when a piece does not come within ``LedgerClient/Settings/deadline``; the server
/// says something every 15 seconds. To go on after that, watch again from the last sequence.
public struct JobWatch: AsyncSequence, Sendable {
    public typealias Failure = LedgerClientError

    /// What came.
    public enum Update: Sendable {
        /// The job with its snapshot, and the JSON that told it.
        case snapshot(JobAnswer, json: String)
        /// The job has finished, and the snapshot before this holds everything.
        case end
    }

    /// Of one snapshot: a job of a hundred thousand indicators with long labels stays below.
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
        /// The server's clock as of the last update; nil if the server has not told it.
        package private(set) var clock: ServerClock?

        init(lines: LineStream.AsyncIterator) {
            self.lines = lines
        }

        /// The next update; nil after the end of the job. A server that ends the stream before that has lost us.
        public mutating func next() async throws(LedgerClientError) -> Update? {
            guard !isOver else { return nil }
            while let line = try await lines.next() {
                clock = clock ?? lines.clock
                let text = String(decoding: line, as: UTF8.self)
                if let name = Self.value("event", of: text) { event = name }
                // A ledger writes the data of an event as its last line.
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
                .unreachable, "The server has ended the stream before the job has finished.",
                remedy: "It may be starting anew.")
        }

        private static func value(_ field: String, of line: String) -> String? {
            guard line.utf8.starts(with: "\(field):".utf8) else { return nil }
            let value = line.utf8.dropFirst(field.utf8.count + 1)
            return String(value.first == UInt8(ascii: " ") ? value.dropFirst() : value)
        }

        private mutating func readJob(_ data: String) throws(LedgerClientError) -> JobAnswer {
            do {
                let body = try JSONReader.read(Array(data.utf8))
                clock = ServerClock(body) ?? clock
                return try JobAnswer(body)
            } catch {
                throw LedgerClientError(.unexpectedAnswer, "An event of the stream cannot be read as a job: \(error)")
            }
        }
    }
}

extension LedgerClient {
    /// Follows a job until it has finished.
    ///
    /// - Parameters:
    ///   - job: The job.
    ///   - sequence: The snapshot that is known already, which does not come again; nil where none is.
    public func watch(_ job: JobID, after sequence: Int64? = nil) -> JobWatch {
        JobWatch(self, .watch(job, after: sequence))
    }
}
