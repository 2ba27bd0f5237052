internal import Ledger
internal import LedgerWire

/// Elements that several pages share.
enum PageParts {
    /// The state of the connection. Scripts replace the text.
    static let connection: HTML = """
        <p id="connection" role="status" data-state="still"><span class="dot"></span><span class="words">not live: the state when \
        this page was loaded</span></p>
        """

    /// The age of a running job's or execution's last report, hidden while short.
    ///
    /// `Files/silence.js` updates it.
    static func silence(since: Timestamp, now: Timestamp, isRunning: Bool) -> HTML {
        let silence = now.microseconds - since.microseconds
        let isShown = isRunning && silence >= PageText.silentAfter
        let words = isShown ? "no report for \(PageText.age(microseconds: silence))" : ""
        let isLong = silence >= PageText.silentForLongAfter
        return """
            <small class="silence\(isShown && isLong ? " long" as HTML : "")" data-since="\(RFC3339.text(since))"\
            \(isShown ? "" as HTML : " hidden")>\(words)</small>
            """
    }

    /// A form field with these choices and `any`.
    static func select(_ title: String, _ name: String, _ choices: [String], _ chosen: String?) -> HTML {
        let options = choices.map { choice in
            HTML(
                "<option value=\"\(choice)\"\(choice == chosen ? " selected" as HTML : "")>\(choice.split(separator: "_").joined(separator: " "))</option>"
            )
        }
        return "<label>\(title) <select name=\"\(name)\"><option value=\"\">any</option>\(options)</select></label>"
    }
}
