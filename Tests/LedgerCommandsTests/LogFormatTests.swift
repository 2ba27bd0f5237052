import Foundation
import Logging
import Testing

@testable import LedgerCommands

@Suite("Log lines")
struct LogFormatTests {
    @Test("JSON contains message, level, time and metadata; an event's metadata take precedence")
    func linesAreJSON() throws {
        var handler = JSONLogHandler(label: "progress-ledger.test")
        handler[metadataKey: "a"] = "1"
        handler[metadataKey: "b"] = "2"
        let event = LogEvent(
            level: .warning, message: "said \"so\"\n", metadata: ["b": "3"], source: "t", file: "f", function: "g",
            line: 1)
        let line = handler.line(for: event, at: Date(timeIntervalSince1970: 1.5))
        #expect(
            line == #"{"at":"1970-01-01T00:00:01.500Z","label":"progress-ledger.test","level":"warning","#
                + #""message":"said \"so\"\n","metadata":{"a":"1","b":"3"}}"#)
    }

    @Test("a repeated warning is written three times in ten seconds, then with a count")
    func repeatedWarnings() {
        let counters = RateLimitedLogHandler.Counters()
        let kind = RateLimitedLogHandler.Counters.Kind(level: .warning, label: "l", message: "m")
        let start = ContinuousClock.now
        func admit(_ seconds: Int) -> Int? { counters.admit(kind, now: start + .seconds(seconds)) }
        #expect((0...9).map(admit) == [0, 0, 0, nil, nil, nil, nil, nil, nil, nil])
        #expect(admit(10) == 7)
        #expect(admit(11) == 0)
        let other = RateLimitedLogHandler.Counters.Kind(level: .error, label: "l", message: "m")
        #expect(counters.admit(other, now: start) == 0, "another kind")
    }

    @Test("information is never suppressed, and a suppressed count is part of the metadata")
    func handler() {
        let written = Written()
        var handler = RateLimitedLogHandler(written, label: "l", counters: RateLimitedLogHandler.Counters())
        handler.logLevel = .trace
        for level in [Logger.Level.info, .warning] {
            for _ in 1...5 {
                handler.log(
                    event: LogEvent(
                        level: level, message: "m", metadata: nil, source: "", file: "", function: "", line: 1))
            }
        }
        #expect(written.levels == [.info, .info, .info, .info, .info, .warning, .warning, .warning])
    }

    private final class Written: LogHandler, @unchecked Sendable {
        var logLevel = Logger.Level.trace
        var metadata: Logger.Metadata = [:]
        private(set) var levels: [Logger.Level] = []

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) { levels.append(event.level) }
    }
}
