internal import HTTPTypes
internal import Hummingbird
internal import HummingbirdCore
internal import Ledger
internal import LedgerWire

/// A whole page, or a part of it for a page that is open already.
struct Page: Sendable {
    /// The relative address of the server's root.
    ///
    /// All addresses in a page are relative, so that pages work below any path of a reverse proxy.
    var root: PageRoot
    /// The title of the window.
    var title: String
    /// The address of the icon.
    var icon: String
    /// The style sheet of the page beside the common one; nil for none.
    var style: String?
    /// The script that makes the page live; nil for none.
    var script: String?
    var body: HTML
    /// The program's version for the footer; nil on pages that need no token.
    var version: ProductVersion?
    /// Whether the viewer has logged in on this browser.
    var hasLogin = false
    /// Whether the page shows times, so that its foot names their time zone.
    var hasTimes = true

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
        let style = style.map { HTML("<link rel=\"stylesheet\" href=\"\(root.rawValue)pages/\($0)\">\n") }
        let script = script.map { HTML("<script type=\"module\" src=\"\(root.rawValue)pages/\($0)\"></script>") }
        let slots: [(String, HTML)] = [
            ("{{title}}", "\(title)"), ("{{icon}}", "\(icon)"), ("{{root}}", "\(root.rawValue)"),
            ("{{style}}", style ?? ""), ("{{script}}", script ?? ""), ("{{body}}", body),
            ("{{root}}", "\(root.rawValue)"),
            ("{{version}}", version.map { " \($0.description)" } ?? ""),
            ("{{root}}", "\(root.rawValue)"),
            ("{{zone}}", hasTimes ? " · <span id=\"zone\">all times are UTC</span>" : ""),
            ("{{login}}", hasLogin ? " · <button id=\"log-out\" type=\"button\">Log out</button>" : ""),
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
    static func problem(_ problem: HTTPProblem, root: PageRoot, of request: RequestIdentity) -> LedgerResponse {
        let detail: HTML = "<p>\(PageText.visible(problem.details.detail))</p>"
        let again: HTML? = problem.isTemporary ? "<a href=\"\">Try again</a> " : nil
        var response = Page(
            root: root, title: "\(problem.details.title) – progress ledger", icon: "\(root.rawValue)pages/icon.svg",
            script: problem.paragraphs == nil ? "session.js" : "unchanging.js",
            body: """
                <main class="problem"><h1>\(problem.details.title)</h1>\(problem.paragraphs ?? detail)
                <p class="ways">\(again)<a href="\(root.rawValue)">All jobs</a></p>
                <p><small>Status \(problem.details.status) · request <code>\(request.id)</code></small></p></main>
                """,
            hasTimes: problem.paragraphs != nil
        ).response(HTTPResponse.Status(code: problem.details.status))
        for field in problem.headers(for: request) { response.headers.append(field) }
        return response
    }
}

extension Page {
    /// The response to a request for a page that the caller may not see.
    ///
    /// A browser without a token is redirected to the login, which returns to the page. It keeps the fragment of the
    /// address, which contains the token of a share link.
    static func refusal(
        _ problem: HTTPProblem, root: PageRoot, of request: Request, _ identity: RequestIdentity
    ) -> LedgerResponse {
        guard problem.details.status == HTTPResponse.Status.unauthorized.code else {
            return Self.problem(problem, root: root, of: identity)
        }
        guard request.isForPerson else { return problem.response(to: identity) }
        let target = String((request.head.path ?? "/").drop { $0 == "/" })
        return LedgerResponse(
            status: .seeOther,
            headers: [.location: PageLink("/login", [("next", target)]).text, .cacheControl: "no-store"])
    }
}

/// The address of the server's root, relative to a page.
struct PageRoot: RawRepresentable, Sendable {
    let rawValue: String

    static let ofJobs = PageRoot(rawValue: "./")
    static let ofJob = PageRoot(rawValue: "../")
    static let ofTask = PageRoot(rawValue: "../../")

    init(rawValue: String) { self.rawValue = rawValue }

    /// The address of the root, relative to any path below it.
    init(of path: String) {
        let depth = path.count { $0 == "/" } - 1
        rawValue = depth < 1 ? "./" : String(repeating: "../", count: depth)
    }
}

extension Request {
    /// Whether a browser requests a page for a person to read.
    var isForPerson: Bool { method == .get && headers[values: .accept].contains { $0.contains("text/html") } }
}

extension HTTPProblem {
    /// Whether the same request may succeed later.
    fileprivate var isTemporary: Bool { [429, 503, 504].contains(details.status) }
}

extension HTTPField.Name {
    static let referrerPolicy = literal("Referrer-Policy")
}
