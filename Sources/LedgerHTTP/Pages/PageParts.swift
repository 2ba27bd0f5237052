internal import Ledger
internal import LedgerWire

/// Elements that several pages share.
enum PageParts {
    /// A message, with its lines; invisible characters are escaped.
    static func message(_ message: Name?) -> HTML? {
        message.map { message in
            let lines = message.text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false)
            let shown = lines.map { HTML("\(PageText.visible(String($0)))") }
            return
                "<span class=\"message\" dir=\"auto\">\(shown.dropFirst().reduce(shown.first ?? "") { "\($0)<br>\($1)" })</span>"
        }
    }

    /// A link of a report. The page that it opens learns nothing of this one.
    static func link(_ link: Name?) -> HTML? {
        // The ledger accepts nothing else; a script must not run even if that changes.
        guard let link, link.linkFault == nil else { return nil }
        return
            "<a class=\"outside\" rel=\"noopener noreferrer nofollow\" href=\"\(link)\">\(PageText.visible(link.text))</a>"
    }

    /// The state of the connection. Scripts replace the text.
    static let connection: HTML = """
        <p id="connection" role="status" data-state="still"><span class="dot"></span><span class="words">not live: the state when \
        this page was loaded</span></p>
        """

    /// The time since a job or execution stalled or fell silent, hidden if it has not.
    ///
    /// The server decides whether it has. `Files/silence.js` keeps the time up to date.
    static func silence(_ words: String, since: Timestamp?, now: Timestamp) -> HTML {
        age(words, "silence", since: since, now: now)
    }

    /// The time since a moment, hidden without one.
    ///
    /// `Files/silence.js` keeps it up to date while the job is running.
    static func age(_ words: String, _ kind: String, since: Timestamp?, now: Timestamp) -> HTML {
        let text = since.map { "\(words) \(PageText.age(microseconds: now.microseconds - $0.microseconds))" } ?? ""
        return """
            <small class="\(kind)" data-words="\(words)" data-since="\(since.map(RFC3339.text) ?? "")"\
            \(since == nil ? " hidden" as HTML : "")>\(text)</small>
            """
    }

    /// The links to the data of a part.
    static func exports(csv: String, json: String) -> HTML {
        """
        <span class="exports"><a href="\(csv)" download>CSV</a> <a href="\(json)">JSON</a></span>
        """
    }

    /// A button that copies a text; pages without scripts do not show it.
    ///
    /// - Parameter text: The text; nil for the address of the page.
    static func copy(_ title: String, _ text: String?) -> HTML {
        let value = text.map { HTML(" data-text=\"\($0)\"") }
        return "<button type=\"button\" class=\"copy\"\(value)>\(title)</button>"
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
