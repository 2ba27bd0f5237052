import Ledger

/// A colour or an attribute of text on a terminal (ECMA-48: SGR).
enum TerminalColor: String {
    case plain = "0"
    case bold = "1"
    case dim = "2"
    case red = "31"
    case green = "32"
    case yellow = "33"
    case blue = "34"
    case magenta = "35"

    /// The text in this colour, if the terminal shows colours.
    func render(_ text: String, _ style: TerminalStyle) -> String {
        style.hasColor && self != .plain ? "\u{1B}[\(rawValue)m\(text)\u{1B}[0m" : text
    }
}

extension JobState {
    /// The colour of the state on a terminal.
    var color: TerminalColor {
        switch self {
        case .running: .blue
        case .completed: .green
        case .failed: .red
        case .canceled: .yellow
        }
    }
}
