import Logging
import Synchronization

/// A log handler that limits how often the same warning or error is written.
///
/// While the database is away, each step, sweep and heartbeat fails and logs it. The first messages of a kind are
/// written, further ones are counted, and the next written one has the count as `suppressed`. A kind is the level, the
/// label and the message; messages name the operation, and the metadata name the case.
struct RateLimitedLogHandler: LogHandler {
    /// The counters of a process, shared by all its loggers.
    final class Counters: Sendable {
        struct Kind: Hashable {
            let level: Logger.Level
            let label: String
            let message: String
        }

        private struct Window {
            var start: ContinuousClock.Instant
            var written = 0
            var suppressed = 0
        }

        /// The messages of a kind that are written in one window.
        static let burst = 3
        static let window: Duration = .seconds(10)
        /// The number of kinds that are counted; messages in the sources are fewer.
        private static let kindsMax = 1_000

        private let windows = Mutex<[Kind: Window]>([:])

        /// Decides about a message.
        ///
        /// - Returns: The number of messages suppressed before it; nil to suppress it.
        func admit(_ kind: Kind, now: ContinuousClock.Instant = .now) -> Int? {
            windows.withLock { windows in
                if windows.count >= Self.kindsMax, windows[kind] == nil { windows = [:] }
                var window = windows[kind] ?? Window(start: now)
                defer { windows[kind] = window }
                let suppressed = window.suppressed
                if now - window.start >= Self.window { window = Window(start: now) }
                guard window.written < Self.burst else {
                    window.suppressed += 1
                    return nil
                }
                window.written += 1
                window.suppressed = 0
                return suppressed
            }
        }
    }

    private var handler: any LogHandler
    private let label: String
    private let counters: Counters

    init(_ handler: any LogHandler, label: String, counters: Counters) {
        self.handler = handler
        self.label = label
        self.counters = counters
    }

    var logLevel: Logger.Level {
        get { handler.logLevel }
        set { handler.logLevel = newValue }
    }

    var metadata: Logger.Metadata {
        get { handler.metadata }
        set { handler.metadata = newValue }
    }

    var metadataProvider: Logger.MetadataProvider? {
        get { handler.metadataProvider }
        set { handler.metadataProvider = newValue }
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { handler[metadataKey: key] }
        set { handler[metadataKey: key] = newValue }
    }

    func log(event: LogEvent) {
        // A critical message is the only record of what it reports.
        guard event.level == .warning || event.level == .error else { return handler.log(event: event) }
        let kind = Counters.Kind(level: event.level, label: label, message: event.message.description)
        guard let suppressed = counters.admit(kind) else { return }
        guard suppressed > 0 else { return handler.log(event: event) }
        var event = event
        event.metadata = (event.metadata ?? [:]).merging(["suppressed": "\(suppressed)"]) { $1 }
        handler.log(event: event)
    }
}
