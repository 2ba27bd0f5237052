import Ledger
import LedgerTestSupport
import LedgerWire
import Testing

@testable import LedgerCommands

@Suite("Text on a terminal")
struct VisibleTextTests {
    @Test(
        "characters that control a terminal are escaped",
        arguments: [
            ("a\u{1B}[2Jb", "a\\u{1B}[2Jb"),
            ("two\nlines\r", "two\\u{A}lines\\u{D}"),
            ("\u{9B}31m", "\\u{9B}31m"),
            ("\u{7F}", "\\u{7F}"),
            ("abc\u{202E}fdp.exe", "abc\\u{202E}fdp.exe"),
            ("\u{2066}x\u{2069}", "\\u{2066}x\\u{2069}"),
            ("a\u{2028}b", "a\\u{2028}b"),
            ("\u{E0041}", "\\u{E0041}"),
            ("a\u{200B}\u{FEFF}b\u{FFFF}", "a\\u{200B}\\u{FEFF}b\\u{FFFF}"),
            ("a\u{200E}\u{200F}\u{61C}b", "a\\u{200E}\\u{200F}\\u{61C}b"),
            ("a\u{AD}b\u{2060}c", "a\\u{AD}b\\u{2060}c"),
        ])
    func dangerousTextIsEscaped(text: String, visible: String) {
        #expect(VisibleText.escape(text) == visible)
    }

    @Test(
        "letters of any script, emoji and combining marks stay unchanged",
        arguments: ["Straße", "עברית", "می\u{200C}خواهم", "e\u{301}", "👩‍👩‍👧‍👦", "<b>'; drop table job; --", ""])
    func harmlessTextStays(text: String) {
        #expect(VisibleText.escape(text).unicodeScalars.elementsEqual(text.unicodeScalars))
    }

    @Test("a table escapes cells, aligns columns and has no trailing spaces")
    func tablesAlign() {
        var table = Table([("NAME", .left), ("DONE", .right), ("STATE", .left)])
        table.add(["a\nb", "7", ""])
        table.add(["long name", "1234567", "running"])
        #expect(
            table.lines == [
                "NAME          DONE  STATE",
                "a\\u{A}b          7",
                "long name  1234567  running",
            ])
    }

    @Test("a table is cut to the terminal, except ids and numbers; wide letters keep columns aligned")
    func tablesAreCut() {
        var table = Table([("JOB", .whole), ("DONE", .right), ("NAME", .left), ("STATE", .whole)])
        table.add(["0190b5a1", "7", String(repeating: "\u{2705}", count: 20), "running"])
        table.add(["0190b5a2", "1234567", "x", "running"])
        let lines = table.lines(TerminalStyle(width: 40))
        #expect(
            lines == [
                "JOB          DONE  NAME          STATE",
                "0190b5a1        7  \u{2705}\u{2705}\u{2705}\u{2705}\u{2705}…   running",
                "0190b5a2  1234567  x             running",
            ])
        #expect(lines.allSatisfy { TerminalText.cells($0) <= 40 })
        #expect(table.lines[2].hasSuffix("x" + String(repeating: " ", count: 41) + "running"))
        let ascii = table.lines(TerminalStyle(width: 40, hasUnicode: false))
        #expect(ascii[1].contains(#"\u{2705}\u{"#) && ascii[1].unicodeScalars.allSatisfy(\.isASCII))
    }

    @Test(
        "escaped JSON keeps its values and does not control a terminal",
        arguments: [
            (#"{"a":"x"}"#, #"{"a":"x"}"#), ("{\"a\":\"\u{9B}31m\u{202E}\"}", #"{"a":"\u009b31m\u202e"}"#),
            ("{\n\t\"a\": \"\u{E0041}é\"}\r\n", "{\n\t\"a\": \"\\udb40\\udc41é\"}\r\n"),
        ])
    func documentsAreHarmless(document: String, escaped: String) throws {
        #expect(VisibleText.escapeJSON(document) == escaped)
        let values = try [document, escaped].map { try JSONReader.read(Array($0.utf8))["a"]?.text.map { Name($0) } }
        #expect(values[0] == values[1])
    }

    @Test("an execution that the server calls silent is marked")
    func silenceIsShown() throws {
        let start = Timestamp(microseconds: 1_000_000_000)
        func task(_ name: Name, silent seconds: Int64, isSilent: Bool = true) -> TaskSummary {
            let last = Timestamp(microseconds: start.microseconds - seconds * 1_000_000)
            return TaskSummary(
                name: name, state: .running, id: 1, executionCount: 1,
                executions: [
                    ExecutionSummary(
                        name: nil, attempt: 1, outcome: nil, id: 1, lastSequence: 1, startedAt: last,
                        lastAt: last, isCounted: true, isProvisional: false, silentSince: isSilent ? last : nil,
                        progress: [])
                ])
        }
        let tasks = [
            task("a", silent: 900, isSilent: false), task("b", silent: 300), task("d", silent: 432),
        ]
        let lines = TasksCommand.table(tasks, now: start).lines
        #expect(lines.map { $0.contains("no report") } == [false, false, true, true])
        #expect(lines[2].contains("running, no report for 5m 0s"))
        #expect(TasksCommand.table(tasks).lines.allSatisfy { !$0.contains("no report") })
        let silent = SilentExecution.all(in: tasks, now: start)
        #expect(
            SilentExecution.lines(silent, max: 1) == ["d: no report for 7m 12s", "+ 1 more"])
    }
}
