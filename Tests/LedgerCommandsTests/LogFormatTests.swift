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
}
