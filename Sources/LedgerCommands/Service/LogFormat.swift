import FoundationEssentials
import Logging

/// The format of log lines on standard error; standard output is for data.
enum LogFormat: String, CaseIterable, Sendable {
    /// One line of text per message, for people.
    case text
    /// One JSON object per line, for programs.
    case json

    /// Installs the format for the process; must be called once.
    func install(level: Logger.Level) {
        let format = self
        let counters = RateLimitedLogHandler.Counters()
        LoggingSystem.bootstrap { label in
            var handler: any LogHandler =
                switch format {
                case .text: StreamLogHandler.standardError(label: label)
                case .json: JSONLogHandler(label: label)
                }
            handler.logLevel = level
            return RateLimitedLogHandler(handler, label: label, counters: counters)
        }
    }
}

/// A log handler that writes one JSON object per line to standard error.
///
/// The fields are `{"at":…,"level":…,"label":…,"message":…,"metadata":{…}}`.
struct JSONLogHandler: LogHandler {
    let label: String
    var logLevel = Logger.Level.info
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        Console.standard.printToError(line(for: event, at: Date()))
    }

    func line(for event: LogEvent, at date: Date) -> String {
        let provided = metadataProvider?.get() ?? [:]
        let own = metadata.merging(provided) { $1 }
        var all = own.merging(event.metadata ?? [:]) { $1 }
        if let error = event.error { all["error"] = "\(error)" }
        let entry = Entry(
            at: date.formatted(
                .iso8601.year().month().day().time(includingFractionalSeconds: true).timeZone(separator: .omitted)),
            level: event.level.rawValue, label: label, message: event.message.description,
            metadata: all.mapValues { $0.description })
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return String(decoding: try encoder.encode(entry), as: UTF8.self)
        } catch {
            // Strings always encode. If that ever changes, the message must not be lost.
            return "\(event.level.rawValue) \(label): \(event.message)"
        }
    }

    private struct Entry: Encodable {
        let at: String
        let level: String
        let label: String
        let message: String
        let metadata: [String: String]
    }
}
