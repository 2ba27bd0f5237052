import Ledger
import LedgerWire
import ProgressLedgerClient

/// Shows the demonstration: bars on a terminal, lines otherwise.
final class DemoRenderer {
    private let console: Console
    /// The lines on the terminal that the next frame overwrites.
    private var drawnLines = 0
    private var lastLine: String?

    init(console: Console) {
        self.console = console
    }

    func show(_ step: DemoScript.Step, _ job: JobView) {
        if console.canRedraw { render(step.story, job) } else { printLines(step.story, job) }
    }

    /// Erases the bars and prints the final numbers as plain lines.
    func finish(_ job: JobView) {
        console.write(erasing)
        drawnLines = 0
        for line in SnapshotText.lines(job.snapshot.indicators) { console.print(line) }
    }

    private func render(_ story: String?, _ job: JobView) {
        var text = erasing
        if let story { text += story + "\n" }
        let bars = SnapshotText.bars(job.snapshot.indicators, console.style ?? TerminalStyle())
        text += bars.map { $0 + "\n" }.joined()
        console.write(text)
        drawnLines = bars.count
    }

    private func printLines(_ story: String?, _ job: JobView) {
        if let story { console.print(story) }
        let line = "  " + SnapshotText.lines(job.snapshot.indicators).joined(separator: "  ")
        guard line != lastLine, !job.snapshot.indicators.isEmpty else { return }
        console.print(line)
        lastLine = line
    }

    /// Moves up over the drawn lines and clears below (ECMA-48: CPL, ED).
    private var erasing: String {
        drawnLines == 0 ? "" : "\u{1B}[\(drawnLines)F\u{1B}[J"
    }
}
