/// A table with aligned columns.
///
/// Every cell is escaped here, so that callers cannot forget to do it.
///
/// On a terminal a table is fitted to the width. If text would be cut, links move to lines of their own, and those
/// columns of ``optional`` are left out that are empty. While text columns would become narrow, the others of
/// ``optional`` are left out, one by one. Then text is cut.
struct Table {
    /// The alignment of a column.
    enum Alignment {
        /// Text, left-aligned, which may be cut.
        case left
        /// Numbers, right-aligned.
        case right
        /// Text that is useful only in full, such as an id.
        case whole
        /// A link: it moves below its row if it does not fit.
        ///
        /// A link that is cut leads nowhere.
        case link
    }

    /// The lines of a table for a terminal.
    struct Layout: Hashable {
        var lines: [String]
        /// The titles of the columns that are left out.
        var hidden: [String] = []
    }

    /// The minimum width to which a column is cut.
    private static let cutWidthMin = 8
    /// The width of a text column for which others are left out.
    private static let cutWidthUsual = 16
    /// The minimum width to which a title is cut.
    private static let titleWidthMin = 3

    private struct Row {
        let cells: [String]
        /// The colours of cells, by column.
        var colors: [Int: TerminalColor] = [:]
    }

    private let columns: [(title: String, alignment: Alignment)]
    private var rows: [Row] = []

    /// The titles of the columns that may be left out, the least important one first.
    var optional: [String] = []
    /// Whether lines that are still too long are cut.
    ///
    /// Otherwise the terminal wraps them.
    var cutsLines = false

    init(_ columns: [(title: String, alignment: Alignment)]) {
        self.columns = columns
    }

    /// Adds a row.
    ///
    /// - Parameter colors: The colours of its cells, by the titles of their columns.
    mutating func add(_ cells: [String], colors: [String: TerminalColor] = [:]) {
        precondition(cells.count == columns.count, "a row has a cell for each column")
        let byColumn = columns.indices.compactMap { index in colors[columns[index].title].map { (index, $0) } }
        rows.append(
            Row(cells: cells.map(VisibleText.escape), colors: Dictionary(uniqueKeysWithValues: byColumn)))
    }

    /// The lines, beginning with the titles, without a limit of width.
    var lines: [String] { lines(nil) }

    /// The lines, beginning with the titles.
    ///
    /// - Parameter style: The terminal's capabilities; nil if the output is not a terminal.
    func lines(_ style: TerminalStyle?) -> [String] { layout(style).lines }

    /// Lays the table out for a terminal.
    func layout(_ style: TerminalStyle?) -> Layout {
        let isASCII = style?.hasUnicode == false
        let texts = [columns.map(\.title)] + rows.map { isASCII ? $0.cells.map(TerminalText.ascii) : $0.cells }
        var widths = columns.indices.map { column in texts.map { TerminalText.cells($0[column]) }.max() ?? 0 }
        var shown = Array(columns.indices)
        var links: [Int] = []
        var hidden: [String] = []
        if let style {
            if Self.width(of: shown, widths) > style.width {
                links = shown.filter { columns[$0].alignment == .link }
                shown.removeAll { column in
                    links.contains(column)
                        || optional.contains(columns[column].title) && rows.allSatisfy { $0.cells[column].isEmpty }
                }
            }
            for title in optional where !isWide(enough: style.width, shown, widths) {
                guard let column = shown.first(where: { columns[$0].title == title }) else { continue }
                shown.removeAll { $0 == column }
                hidden.append(title)
            }
            cut(&widths, of: shown, texts, to: style.width)
        }
        var lines: [String] = []
        for (index, cells) in texts.enumerated() {
            lines.append(line(cells, index == 0 ? [:] : rows[index - 1].colors, shown, widths, style))
            if index > 0 { lines += links.map { cells[$0] }.filter { !$0.isEmpty }.map { "  \($0)" } }
        }
        return Layout(lines: lines, hidden: hidden)
    }

    private func line(
        _ cells: [String], _ colors: [Int: TerminalColor], _ shown: [Int], _ widths: [Int], _ style: TerminalStyle?
    ) -> String {
        let plain = style ?? TerminalStyle()
        var padded = shown.map { column in
            TerminalText.pad(cells[column], to: widths[column], right: columns[column].alignment == .right, plain)
        }
        // Spaces at the end of a colored cell would make the line longer.
        for index in padded.indices.reversed() {
            while padded[index].last == " " { padded[index].removeLast() }
            if !padded[index].isEmpty { break }
        }
        var line = padded.joined(separator: "  ")
        while line.last == " " { line.removeLast() }
        if let style, cutsLines, TerminalText.cells(line) > style.width {
            return TerminalText.cut(line, to: style.width, style)
        }
        guard let style, style.hasColor, !colors.isEmpty else { return line }
        var colored = zip(shown, padded).map { column, cell in
            colors[column].map { $0.render(cell, style) } ?? cell
        }.joined(separator: "  ")
        while colored.last == " " { colored.removeLast() }
        return colored
    }

    private static func width(of shown: [Int], _ widths: [Int]) -> Int {
        shown.reduce(0) { $0 + widths[$1] } + 2 * (shown.count - 1)
    }

    /// Whether these columns fit without making text narrow.
    private func isWide(enough width: Int, _ shown: [Int], _ widths: [Int]) -> Bool {
        let sum = shown.reduce(0) { sum, column in
            sum + (columns[column].alignment == .left ? min(widths[column], Self.cutWidthUsual) : widths[column])
        }
        return sum + 2 * (shown.count - 1) <= width
    }

    /// Cuts columns until the lines fit.
    ///
    /// First text columns, the widest first, and then the titles of the others.
    private func cut(_ widths: inout [Int], of shown: [Int], _ texts: [[String]], to width: Int) {
        func narrow(_ cuttable: [Int], _ least: (Int) -> Int) {
            let leasts = Dictionary(uniqueKeysWithValues: cuttable.map { ($0, least($0)) })
            while Self.width(of: shown, widths) > width {
                let rest = cuttable.filter { widths[$0] > leasts[$0] ?? 0 }
                guard let widest = rest.max(by: { widths[$0] < widths[$1] }) else { return }
                widths[widest] -= 1
            }
        }
        let text = shown.filter { columns[$0].alignment == .left }
        for column in text {
            widths[column] = min(widths[column], max(Self.cutWidthMin, columns[column].title.count, width))
        }
        narrow(text) { max(Self.cutWidthMin, columns[$0].title.count) }
        narrow(shown.filter { columns[$0].alignment != .left }) { column in
            max(Self.titleWidthMin, texts.dropFirst().map { TerminalText.cells($0[column]) }.max() ?? 0)
        }
    }
}
