public import Logging
internal import Synchronization

/// A recorder of log lines, with their metadata.
public final class LogRecorder: Sendable {
    /// A recorded line.
    public struct Line: CustomStringConvertible, Sendable {
        public let message: String
        /// The metadata of the line and of its logger.
        public let metadata: Logger.Metadata

        public var description: String { "\(message) \(metadata)" }
    }

    /// A handler of one logger, which may have metadata of its own.
    private struct Handler: LogHandler {
        let recorder: LogRecorder
        var logLevel: Logger.Level
        var metadata: Logger.Metadata = [:]

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let all = metadata.merging(event.metadata ?? [:]) { $1 }
            recorder.lines.withLock { $0.append(Line(message: "\(event.message)", metadata: all)) }
        }
    }

    private let lines = Mutex<[Line]>([])
    private let level: Logger.Level

    public init(level: Logger.Level = .warning) {
        self.level = level
    }

    /// The recorded lines, in their order.
    public var logged: [Line] { lines.withLock { $0 } }

    /// A logger that records here.
    public var logger: Logger { Logger(label: "test") { _ in Handler(recorder: self, logLevel: self.level) } }
}
