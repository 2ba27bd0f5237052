/// Lines in columns. Every cell is made fit for a terminal here, so that no caller can forget it.
struct Table {
    /// On which side of its column a cell stands.
    enum Alignment {
        /// Text, which may be cut.
        case left
        /// Numbers.
        case right
        /// Text that is of use only as a whole, such as an id.
        case whole
    }

    /// The width below which no column is cut.
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

    /// The lines, the titles first, as long as they are.
    var lines: [String] { lines(nil) }

    /// The lines, the titles first.
    ///
    /// - Parameter style: What the terminal can show: columns of text are cut until the lines fit, the widest first.
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
