import Testing

@testable import LedgerCommands

@Suite("Tables that fit a terminal")
struct TableTests {
    private static func table() -> Table {
        var table = Table([
            ("SEQUENCE", .right), ("TASK", .left), ("EXECUTION", .left), ("ATTEMPT", .right), ("MESSAGE", .left),
            ("LINK", .link),
        ])
        table.optional = ["EXECUTION", "ATTEMPT"]
        table.cutsLines = true
        table.add(
            [
                "7", "tile-17", "0a1b2c3d4e5f60718293", "2", "disk full, as ever since the upgrade",
                "https://ci.example/1",
            ],
            colors: ["TASK": .red])
        table.add(["123", "tile-18", "", "1", "", ""])
        return table
    }

    private static func style(_ width: Int, hasColor: Bool = false) -> TerminalStyle {
        TerminalStyle(width: width, hasColor: hasColor)
    }

    @Test("links move below their rows first, then columns are left out in order, then text is cut")
    func orderOfFitting() {
        let wide = Self.table().layout(Self.style(110))
        #expect(wide.hidden.isEmpty && wide.lines.count == 3 && wide.lines[1].hasSuffix("  https://ci.example/1"))
        let medium = Self.table().layout(Self.style(70))
        #expect(medium.hidden.isEmpty && medium.lines[0].contains("EXECUTION"), "\(medium)")
        #expect(medium.lines[2] == "  https://ci.example/1" && medium.lines.count == 4, "\(medium)")
        let narrow = Self.table().layout(Self.style(50))
        #expect(narrow.hidden == ["EXECUTION"] && narrow.lines[0].contains("ATTEMPT"), "\(narrow)")
        let least = Self.table().layout(Self.style(34))
        #expect(least.hidden == ["EXECUTION", "ATTEMPT"], "\(least)")
        #expect(
            least.lines == [
                "SEQUENCE  TASK     MESSAGE", "       7  tile-17  disk full, as …", "  https://ci.example/1",
                "     123  tile-18",
            ], "\(least)")
    }

    @Test("no line is wider than the terminal, except a link", arguments: [8, 12, 20, 24, 30, 40, 60, 80])
    func linesFit(width: Int) {
        for line in Self.table().lines(Self.style(width)) where !line.hasPrefix("  https:") {
            #expect(TerminalText.cells(line) <= width, "\(line)")
        }
        // Texts are cut first, then titles, and numbers last.
        if width == 24 {
            let lines = Self.table().lines(Self.style(width))
            #expect(lines[0].hasPrefix("SEQU…  TASK"), "\(lines)")
            #expect(lines[1] == "    7  tile-17  disk fu…", "\(lines)")
        }
    }

    @Test("before text is cut, empty columns that may be left out are left out, and links move below")
    func emptyColumns() {
        var table = Table([("TASK", .left), ("EXECUTION", .left), ("WHY NOT", .left), ("LINK", .link)])
        table.optional = ["EXECUTION"]
        table.add(["tile-17", "", "superseded by attempt 2", "https://ci.example/1"])
        let wide = table.layout(Self.style(65))
        #expect(wide.lines[1] == "tile-17             superseded by attempt 2  https://ci.example/1", "\(wide)")
        let narrow = table.layout(Self.style(64))
        #expect(narrow.lines[1...] == ["tile-17  superseded by attempt 2", "  https://ci.example/1"], "\(narrow)")
        #expect(narrow.hidden.isEmpty, "nothing is missing")
    }

    @Test("a line that ends with a colour has no spaces at its end")
    func colorAtTheEnd() {
        var table = Table([("TASK", .left), ("VERDICT", .left), ("WHY", .left)])
        table.add(["a", "superseded", ""], colors: ["VERDICT": .yellow])
        table.add(["b", "superseded, late", ""], colors: ["VERDICT": .yellow])
        let lines = table.lines(Self.style(80, hasColor: true))
        #expect(lines[1] == "a     \u{1B}[33msuperseded\u{1B}[0m", "\(lines)")
    }

    @Test("a colour changes nothing but the colour, and none is used without")
    func colors() {
        let colored = Self.table().lines(Self.style(80, hasColor: true))
        #expect(colored[1].contains("\u{1B}[31mtile-17\u{1B}[0m"), "\(colored)")
        let plain = colored.map { $0.replacing(/\u{1B}\[[0-9]+m/, with: "") }
        #expect(plain == Self.table().lines(Self.style(80)))
        #expect(Self.table().lines.allSatisfy { !$0.contains("\u{1B}") })
    }
}
