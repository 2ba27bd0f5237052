internal import HTTPTypes
internal import Ledger
internal import LedgerWire

/// A whole page, or a part of it for a page that is open already.
struct Page: Sendable {
    /// The title of the window.
    var title: String
    /// The address of the icon.
    var icon: String
    /// The script that makes the page live; nil for none.
    var script: String?
    var body: HTML

    /// The content security policy: browsers load and run only the server's own files.
    ///
    /// Inline code is forbidden, so markup that was injected into a page would have no effect.
    private static let contentSecurityPolicy = """
        default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
        base-uri 'none'; frame-ancestors 'none'
        """

    static func headers() -> HTTPFields {
        [
            .contentSecurityPolicy: contentSecurityPolicy, .referrerPolicy: "no-referrer", .cacheControl: "no-store",
        ]
    }

    func response(_ status: HTTPResponse.Status = .ok) -> LedgerResponse {
        let script = script.map { HTML("<script type=\"module\" src=\"/pages/\($0)\"></script>") }
        let slots: [(String, HTML)] = [
            ("{{title}}", "\(title)"), ("{{icon}}", "\(icon)"), ("{{script}}", script ?? ""), ("{{body}}", body),
        ]
        var rest = (PageFile.all["page.html"]?.text ?? "")[...]
        var text = ""
        for (slot, piece) in slots {
            guard let range = rest.firstRange(of: slot) else { continue }
            text += rest[..<range.lowerBound] + piece.text
            rest = rest[range.upperBound...]
        }
        return Self.html(HTML(trusted: text + rest), status)
    }

    /// A part of a page.
    static func html(_ piece: HTML, _ status: HTTPResponse.Status = .ok) -> LedgerResponse {
        LedgerResponse(
            status: status, headers: headers(), contentType: "text/html; charset=utf-8", bytes: Array(piece.text.utf8))
    }

    /// The page of an error.
    static func problem(_ problem: HTTPProblem) -> LedgerResponse {
        var response = Page(
            title: "\(problem.details.title) – progress ledger", icon: "/pages/icon.svg", script: nil,
            body: """
                <main class="problem"><h1>\(problem.details.title)</h1><p>\(PageText.visible(problem.details.detail))</p>
                <p><a href="/">All jobs</a></p></main>
                """
        ).response(HTTPResponse.Status(code: problem.details.status))
        for field in problem.headers { response.headers.append(field) }
        return response
    }
}

extension HTTPField.Name {
    static let referrerPolicy = literal("Referrer-Policy")
}
