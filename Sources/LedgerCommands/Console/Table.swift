/// A table with aligned columns.
///
/// Every cell is escaped here, so that callers cannot forget to do it.
struct Table {
    /// The alignment of a column.
    enum Alignment {
        /// Text, left-aligned, which may be cut.
        case left
        /// Numbers, right-aligned.
        case right
        /// Text that is useful only in full, such as an id.
        case whole
    }

    /// The minimum width to which a column is cut.
    private static let cutWidthMin = 8

    private let columns: [(title: String, alignment: Alignment)]
    private var rows: [[String]] = []

    init(_ columns: [(title: String, alignment: Alignment)]) {
        self.columns = columns
    }

    mutating func add(_ cells: [String]) {
        precondition(cells.count == columns.count, "a row has a cell for each column")
        rows.append(cells.map(VisibleText.escape))
    }

    /// The lines, beginning with the titles, without a limit of width.
    var lines: [String] { lines(nil) }

    /// The lines, beginning with the titles.
    ///
    /// - Parameter style: The terminal's capabilities. Text columns are cut, the widest first, until the lines fit.
    func lines(_ style: TerminalStyle?) -> [String] {
        let isASCII = style?.hasUnicode == false
        let all = [columns.map(\.title)] + (isASCII ? rows.map { $0.map(TerminalText.ascii) } : rows)
        var widths = columns.indices.map { column in all.map { TerminalText.cells($0[column]) }.max() ?? 0 }
        if let style { cut(&widths, to: style.width) }
        return all.map { row in
            var line = ""
            for (index, cell) in row.enumerated() {
                line += TerminalText.pad(
                    cell, to: widths[index], right: columns[index].alignment == .right, style ?? TerminalStyle())
                if index < row.count - 1 { line += "  " }
            }
            while line.last == " " { line.removeLast() }
            return line
        }
    }

    private func cut(_ widths: inout [Int], to width: Int) {
        let least = columns.map { max(Self.cutWidthMin, $0.title.count) }
        let cuttable = columns.indices.filter { columns[$0].alignment == .left }
        for column in cuttable { widths[column] = min(widths[column], max(least[column], width)) }
        while widths.reduce(0, +) + 2 * (columns.count - 1) > width {
            let rest = cuttable.filter { widths[$0] > least[$0] }
            guard let widest = rest.max(by: { widths[$0] < widths[$1] }) else { return }
            widths[widest] -= 1
        }
    }
}
