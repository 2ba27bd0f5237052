/// Lines in columns. Every cell is made fit for a terminal here, so that no caller can forget it.
struct Table {
    /// On which side of its column a cell stands.
    enum Alignment {
        case left
        case right
    }

    private let columns: [(title: String, alignment: Alignment)]
    private var rows: [[String]] = []

    init(_ columns: [(title: String, alignment: Alignment)]) {
        self.columns = columns
    }

    mutating func add(_ cells: [String]) {
        precondition(cells.count == columns.count, "a row has a cell for each column")
        rows.append(cells.map(VisibleText.escape))
    }

    /// The lines, the titles first. Widths are those of characters as Swift counts them, which is what most
    /// terminals show; where one shows an emoji in two cells, its line is shifted and nothing else.
    var lines: [String] {
        let all = [columns.map(\.title)] + rows
        let widths = columns.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        return all.map { row in
            var line = ""
            for (index, cell) in row.enumerated() {
                let padding = String(repeating: " ", count: widths[index] - cell.count)
                line += columns[index].alignment == .right ? padding + cell : cell + padding
                if index < row.count - 1 { line += "  " }
            }
            while line.last == " " { line.removeLast() }
            return line
        }
    }
}
