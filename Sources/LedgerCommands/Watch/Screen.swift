import FoundationEssentials
import Glibc

/// A terminal on which each frame overwrites the one before.
final class Screen {
    private let console: Console
    private let showsTaskbar: Bool
    private var drawnLines = 0
    private var drawnWidth = 0
    private var taskbar = ""
    private var taskbarAt: ContinuousClock.Instant?

    /// The interval of repeated taskbar updates; some terminals clear it after 15 s.
    private static let taskbarInterval = Duration.seconds(5)

    init(console: Console, showsTaskbar: Bool) {
        self.console = console
        self.showsTaskbar = showsTaskbar
    }

    /// The terminal's capabilities now; it may have been resized.
    static func style(environment: [String: String], of descriptor: Int32 = STDOUT_FILENO) -> TerminalStyle {
        var style = TerminalStyle()
        var size = winsize()
        if ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 {
            style.width = Int(size.ws_col)
            style.height = Int(size.ws_row)
        }
        style.hasColor = (environment["NO_COLOR"] ?? "").isEmpty && Console.supportsEscapes(environment: environment)
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].lazy.compactMap { environment[$0] }.first { !$0.isEmpty } ?? ""
        let charset = locale.lowercased().filter { $0 != "-" }
        style.hasUnicode = charset.hasSuffix("utf8")
        return style
    }

    /// Whether this terminal can show progress in its tab or taskbar.
    ///
    /// Other terminals show the escape sequence as a message.
    static func hasTaskbar(environment: [String: String]) -> Bool {
        environment["WT_SESSION"] != nil || environment["ConEmuANSI"] == "ON"
            || ["ghostty", "WezTerm"].contains(environment["TERM_PROGRAM"] ?? "")
    }

    /// Draws a frame over the one before, in one write: no partial frame is visible.
    func render(_ lines: [String], width: Int, taskbar state: TaskbarState?) {
        // Lines are cut to the width. Some terminals draw a character wider than others do; line wrapping is off for
        // that reason.
        var text = "\u{1B}[?2026h\u{1B}[?25l\u{1B}[?7l"
        // After a resize, earlier lines may have been wrapped, and their position is unknown.
        if drawnWidth != 0, drawnWidth != width {
            text += "\u{1B}[2J\u{1B}[H"
        } else if drawnLines > 0 {
            text += "\u{1B}[\(drawnLines)F"
        }
        // Erase before writing: after a line as wide as the terminal, erasing to the right would remove its last cell.
        for line in lines { text += "\u{1B}[2K\(line)\n" }
        text += "\u{1B}[J\u{1B}[?7h" + taskbarUpdate(state) + "\u{1B}[?2026l"
        console.write(text)
        drawnLines = lines.count
        drawnWidth = width
    }

    /// Keeps the last frame and restores the terminal.
    func leave() {
        console.write("\u{1B}[?25h" + (showsTaskbar ? TaskbarState.none.sequence : ""))
    }

    private func taskbarUpdate(_ state: TaskbarState?) -> String {
        guard showsTaskbar, let state else { return "" }
        let now = ContinuousClock.now
        let isDue = taskbarAt.map { $0.duration(to: now) > Self.taskbarInterval } ?? true
        guard state.sequence != taskbar || isDue else { return "" }
        taskbar = state.sequence
        taskbarAt = now
        return taskbar
    }
}

/// The progress in a terminal's tab or taskbar: ConEmu's `OSC 9 ; 4`.
enum TaskbarState: Hashable {
    case none
    case progress(Int)
    case failed
    case unknown
    case paused(Int)

    var sequence: String {
        let state =
            switch self {
            case .none: "0;0"
            case .progress(let percent): "1;\(percent)"
            case .failed: "2;100"
            case .unknown: "3;0"
            case .paused(let percent): "4;\(percent)"
            }
        return "\u{1B}]9;4;\(state)\u{1B}\\"
    }
}
