import Testing

@testable import LedgerCommands

@Suite("Text on a terminal")
struct VisibleTextTests {
    @Test(
        "nothing that commands a terminal reaches it",
        arguments: [
            ("a\u{1B}[2Jb", "a\\u{1B}[2Jb"),
            ("two\nlines\r", "two\\u{A}lines\\u{D}"),
            ("\u{9B}31m", "\\u{9B}31m"),
            ("\u{7F}", "\\u{7F}"),
            ("abc\u{202E}fdp.exe", "abc\\u{202E}fdp.exe"),
            ("\u{2066}x\u{2069}", "\\u{2066}x\\u{2069}"),
            ("a\u{2028}b", "a\\u{2028}b"),
            ("\u{E0041}", "\\u{E0041}"),
        ])
    func dangerousTextIsEscaped(text: String, visible: String) {
        #expect(VisibleText.escape(text) == visible)
    }

    @Test(
        "letters of any script, emoji and combining marks stay as they are",
        arguments: ["Straße", "עברית", "e\u{301}", "👩‍👩‍👧‍👦", "<b>'; drop table job; --", ""])
    func harmlessTextStays(text: String) {
        #expect(VisibleText.escape(text).unicodeScalars.elementsEqual(text.unicodeScalars))
    }

    @Test("a table escapes its cells, aligns its columns and leaves no space at the end of a line")
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
}
