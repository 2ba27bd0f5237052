internal import HTTPTypes
internal import HummingbirdCore
internal import Ledger
internal import LedgerStore
internal import LedgerWire

extension RouteRequest {
    /// Whether the request comes from a browser with the cookie of the login.
    var hasLogin: Bool {
        access.credential != .none && Credentials(request.headers).cookie(Credentials.loginCookie) != nil
    }
}

/// The login of the pages, which exchanges a token for a cookie.
///
/// Scripts cannot read the cookie.
struct LoginRoutes: Sendable {
    private let control: AccessControl
    private let settings: ServerSettings

    init(_ dependencies: RouteTable.Dependencies) {
        control = dependencies.control
        settings = dependencies.settings
    }

    /// The maximum length of a token in a cookie, in bytes.
    ///
    /// Browsers drop cookies of more than 4,096 bytes.
    private static let cookieBytesMax = 3_800
    /// The longest life of a login's cookie, in seconds: 30 days.
    private static let cookieLifetimeMax: Int64 = 30 * 86_400

    var routes: [Route] {
        [
            Route(
                access: .open, method: .get, path: "/login", operation: "loginPage",
                summary: "The page on which a person logs in with a token",
                parameters: [
                    .init(name: "next", type: .string, description: "The page to return to, below the server's root")
                ],
                responses: [
                    Route.ResponseSpec(status: 200, description: "The page", schema: "Text", mediaType: "text/html")
                ], handle: page),
            Route(
                access: .open, method: .post, path: "/login", operation: "logIn",
                summary: "Exchanges a token for a cookie that permits reading the pages",
                body: Route.Body(schema: "LoginRequest", takesLines: false),
                responses: [
                    Route.ResponseSpec(status: 200, description: "The cookie is set", schema: "Login"),
                    .problem(401, "The token is not accepted"), .problem(403, "The token does not permit reading"),
                ], handle: logIn),
            Route(
                access: .open, method: .post, path: "/logout", operation: "logOut",
                summary: "Removes the cookie of the login",
                responses: [Route.ResponseSpec(status: 204, description: "The cookie is removed")], handle: logOut),
        ]
    }

    private func page(_ request: RouteRequest) async throws -> LedgerResponse {
        _ = try request.parameters()
        let form: HTML =
            control.isRequired
            ? """
            <form id="login"><label>Token <input name="token" type="password" autocomplete="current-password" required \
            spellcheck="false" placeholder="pl_…"></label> <button>Log in</button></form>
            <p id="login-error" role="alert"></p>
            <p>An administrator creates tokens with <code>progress-ledger token create</code>. The login permits reading \
            only.</p><noscript><p>The login needs JavaScript.</p></noscript>
            """
            : "<p>This ledger requires no token. <a href=\"./\">All jobs</a></p>"
        return Page(
            root: .ofJobs, title: "Log in – progress ledger", icon: "./pages/icon.svg", script: "login.js",
            body: "<main class=\"login\"><h1>Log in</h1>\(form)</main>", hasTimes: false
        ).response()
    }

    private func logIn(_ request: RouteRequest) async throws -> LedgerResponse {
        _ = try request.parameters()
        let login = try await request.read { body, _ throws(RequestError) in try TokenRequest.login(body) }
        let access = try control.access(
            to: .general(.read), method: .post, [.authorization: "Bearer \(login.token)"], job: nil
        ).get()
        let job = access.confinement.job
        // Otherwise a link could replace a viewer's login by that of its author.
        guard job != nil || !login.isShare else {
            throw HTTPProblem(
                .forbidden, "Not a share link",
                "The link contains a token that is not limited to one job. Log in with it.")
        }
        guard login.token.utf8.count <= Self.cookieBytesMax else {
            throw HTTPProblem(
                .unprocessableContent, "Token too long",
                "Browsers store no cookie with this token: it has more than \(Self.cookieBytesMax) bytes.")
        }
        let name = job.map { Credentials.shareCookie($0) } ?? Credentials.loginCookie
        return .json(
            headers: [
                .setCookie: cookie(
                    name, login.token, seconds: Self.cookieLifetime(until: control.expiry(of: access)), request),
                .cacheControl: "no-store",
            ]
        ) { writer in
            writer.object { $0.field("job", job?.description) }
        }
    }

    private func logOut(_ request: RouteRequest) async throws -> LedgerResponse {
        _ = try request.parameters()
        // The cookies of share links too: the viewer leaves this browser.
        var headers = HTTPFields()
        for name in [Credentials.loginCookie] + Credentials(request.request.headers).shareCookies {
            headers.append(HTTPField(name: .setCookie, value: cookie(name, "", seconds: 0, request)))
        }
        return LedgerResponse(status: .noContent, headers: headers)
    }

    /// The life of a cookie in seconds: it ends with its token.
    private static func cookieLifetime(until expiry: Timestamp?) -> Int64 {
        guard let expiry else { return cookieLifetimeMax }
        return min(cookieLifetimeMax, max(0, (expiry.microseconds - Timestamp.now.microseconds) / 1_000_000))
    }

    /// A cookie for the server's own pages.
    ///
    /// ``MessageValidator`` adds the base path. The cookie is limited to HTTPS if the server speaks it, or if the page
    /// was loaded with it, which its `Origin` states. A token has no character that a cookie must not contain.
    private func cookie(_ name: String, _ value: String, seconds: Int64, _ request: RouteRequest) -> String {
        let origin = request.request.headers[.origin].flatMap { Origin($0) }
        let secure = settings.tls != nil || origin?.scheme == "https" ? "; Secure" : ""
        return "\(name)=\(value); Path=/; Max-Age=\(seconds); HttpOnly; SameSite=Lax\(secure)"
    }
}
