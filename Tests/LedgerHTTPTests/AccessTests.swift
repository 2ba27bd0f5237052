import Ledger
import LedgerStore
import LedgerTestSupport
import LedgerWire
import NIOCore
import Testing

@testable import LedgerHTTP

@Suite("Access")
struct AccessTests {
    /// The permission that a route must need.
    ///
    /// It is independent of the route's own declaration.
    private enum Need {
        case nothing
        /// The scope, for the job in the path.
        case job(Scope)
        /// The scope, for confined callers too.
        case confined(Scope)
        /// The scope, without a confinement.
        case ledger(Scope)
    }

    /// The needs of all routes by operation. A route without a row fails the test.
    private static let needs: [String: Need] = [
        "health": .nothing, "readiness": .nothing, "pageFile": .nothing, "loginPage": .nothing, "logIn": .nothing,
        "logOut": .nothing,
        "createJob": .confined(.report), "listJobs": .confined(.read), "getJob": .job(.read),
        "appendEvents": .job(.report), "appendEventsOfManyJobs": .confined(.report), "startExecution": .job(.report),
        "getProgress": .job(.read), "listEvents": .job(.read), "listTasks": .job(.read),
        "answerJob": .job(.read), "explainIndicator": .job(.read), "getHistory": .job(.read),
        "getDifference": .job(.read),
        "watchJob": .job(.read), "watchJobs": .confined(.read), "verifyJob": .job(.read), "exportJob": .job(.read),
        "importEvents": .ledger(.admin), "listHeads": .ledger(.read), "beginReplay": .ledger(.admin),
        "listReplays": .ledger(.read), "getReplay": .ledger(.read), "revertReplay": .ledger(.admin),
        "dropReplay": .ledger(.admin), "metrics": .ledger(.read), "getStatus": .ledger(.read),
        "description": .confined(.read), "limits": .confined(.read), "jobsPage": .confined(.read),
        "wallPage": .confined(.read), "referencePage": .confined(.read), "jobPage": .job(.read),
        "taskPage": .job(.read), "badge": .job(.read), "createToken": .confined(.admin),
        "listTokens": .confined(.admin), "getTrackRecord": .confined(.read), "revokeToken": .confined(.admin),
        "createSubscription": .confined(.admin), "listSubscriptions": .confined(.admin),
        "getSubscription": .confined(.admin), "removeSubscription": .confined(.admin),
        "listDeliveries": .confined(.admin), "testSubscription": .confined(.admin),
        "notificationsPage": .confined(.admin), "tileboxGetJob": .confined(.read),
        "tileboxQueryJobs": .confined(.read), "tileboxTraces": .confined(.read), "tileboxLogs": .confined(.read),
    ]

    /// A caller of the matrix.
    private struct Caller {
        let name: String
        let text: String?
        var scopes: Set<Scope> = []
        var isAccepted = true
        var isConfined = false
        /// Whether the job of the test is outside of its confinement.
        var isElsewhere = false
    }

    @Test("every route refuses every caller whom it does not serve, and no other", arguments: [false, true])
    func matrix(isHTTP2: Bool) async throws {
        let issuer = try TestIssuer()
        try await withServer {
            $0.jwt = issuer.settings
            $0.servesTilebox = true
        } _: { client, ledger in
            let job = try await ledger.createJob(JobDescription(name: "j", tags: ["team": "a"])).view.id.description
            let callers = try await callers(of: ledger) + signedCallers(issuer)
            let admin = try #require(callers.first { $0.name == "admin" }?.text)
            let paths = try await client.get("/openapi.json", headers: AccessFixtures.bearer(admin)).json["paths"]
            guard case .object(let entries) = paths else { throw Unexpected() }
            var checked = 0
            for entry in entries {
                guard case .object(let methods) = entry.value else { throw Unexpected() }
                for method in methods {
                    let operation = try #require(method.value["operationId"]?.text)
                    let need = try #require(Self.needs[operation], "\(operation) has no row in this test")
                    let path = entry.name.replacing("{job}", with: job)
                        .replacing("{replay}", with: job).replacing("{token}", with: "aaaaaaaaaaaa")
                        .replacing("{subscription}", with: "aaaaaaaaaaaa")
                        .replacing("{file}", with: "style.css")
                    for caller in callers {
                        let expected = Self.expected(need, caller)
                        for name in method.name == "get" ? ["GET", "HEAD"] : [method.name.uppercased()] {
                            // An unbounded stream would not end.
                            if operation.hasPrefix("watchJob"), expected == nil, name == "GET" { continue }
                            let headers = caller.text.map(AccessFixtures.bearer) ?? [:]
                            let body: [UInt8]? = name == "POST" ? [] : nil
                            let response =
                                try await isHTTP2
                                ? client.requestOverHTTP2(name, path, headers: headers, body: body)
                                : client.request(name, path, headers: headers, body: body)
                            let actual = Self.refusals.contains(response.status) ? response.status : nil
                            #expect(
                                actual == expected,
                                "\(caller.name): \(name) \(path) got \(response.status), \(String(decoding: response.body, as: UTF8.self))"
                            )
                            checked += 1
                        }
                    }
                }
            }
            #expect(checked > 500)
        }
    }

    private struct Unexpected: Error {}

    private static let refusals: Set<Int> = [401, 403]

    /// The status with which a request is refused; nil if it is not.
    ///
    /// A job outside of the confinement is 404, which is tested separately: here the routes of such a caller must only
    /// not respond with 401 or 403.
    private static func expected(_ need: Need, _ caller: Caller) -> Int? {
        let scope: Scope
        switch need {
        case .nothing: return nil
        case .job(let needed), .confined(let needed), .ledger(let needed): scope = needed
        }
        guard caller.isAccepted else { return 401 }
        guard caller.scopes.contains(scope) || caller.scopes.contains(.admin) else { return 403 }
        if case .ledger = need, caller.isConfined { return 403 }
        return nil
    }

    private func callers(of ledger: any LedgerService) async throws -> [Caller] {
        var callers: [Caller] = []
        for (name, scopes) in [
            ("reader", [.read]), ("reporter", [.report]), ("both", [.read, .report]), ("admin", [.admin]),
        ] as [(String, Set<Scope>)] {
            let text = try await AccessFixtures.token(name, scopes, of: ledger)
            callers.append(Caller(name: name, text: text, scopes: scopes))
            let confined = try await AccessFixtures.token("confined \(name)", scopes, AccessFixtures.teamA, of: ledger)
            callers.append(Caller(name: "confined \(name)", text: confined, scopes: scopes, isConfined: true))
        }
        let (revoked, revokedText) = try await ledger.createToken(
            AccessTokenRequest(name: "revoked", scopes: [.admin]), by: nil)
        _ = try await ledger.revokeToken(revoked.id, within: .unconfined)
        let (_, expired) = try await ledger.createToken(
            AccessTokenRequest(
                name: "expired", scopes: [.admin], expiresAt: Timestamp(microseconds: 1)), by: nil)
        for (name, text) in [
            ("no token", nil), ("revoked", revokedText), ("expired", expired), ("not a token", "x"),
            ("unknown", TokenText.random().text), ("cut", String(revokedText.dropLast())),
        ] {
            callers.append(Caller(name: name, text: text, isAccepted: false))
        }
        return callers
    }

    /// Callers with JSON Web Tokens.
    private func signedCallers(_ issuer: TestIssuer) -> [Caller] {
        let stranger = TestIssuer.Key("k1")
        return [
            Caller(name: "signed reader", text: issuer.token("reader"), scopes: [.read]),
            Caller(name: "signed admin", text: issuer.token("admin"), scopes: [.admin]),
            Caller(
                name: "signed team", text: issuer.token("team-a", #","team":"a""#), scopes: [.read, .report],
                isConfined: true),
            Caller(name: "signed without a rule", text: issuer.token("other")),
            Caller(name: "signed without the team", text: issuer.token("team-a")),
            Caller(name: "signed, expired", text: issuer.token("admin", lifetime: -61), isAccepted: false),
            Caller(name: "signed by a stranger", text: issuer.token("admin", key: stranger), isAccepted: false),
        ]
    }

    // MARK: Confinement

    @Test("no response differs between an unknown job and one outside of the confinement")
    func otherJobs() async throws {
        try await AccessFixtures.withTeams { client, ledger, own, other in
            let headers = AccessFixtures.bearer(
                try await AccessFixtures.token("team a", [.admin], AccessFixtures.teamA, of: ledger))
            let unknown = "0190b5a1-7c1e-7a3b-9d2f-4c5e6f708192"
            for suffix in [
                "", "/progress", "/progress?at_sequence=0", "/events", "/tasks", "/explain", "/history", "/diff",
                "/verify", "/export", "/badge.svg",
            ] {
                let path = "/v1/jobs/\(other)\(suffix)"
                let hidden = try await client.get(path, headers: headers)
                let missing = try await client.get("/v1/jobs/\(unknown)\(suffix)", headers: headers)
                #expect(hidden.status == 404 && missing.status == 404, "\(path)")
                let text = hidden.textWithoutID.replacing(other, with: unknown)
                #expect(text == missing.textWithoutID, "\(path)")
                let found = try await client.get("/v1/jobs/\(own)\(suffix)", headers: headers)
                #expect(![401, 403].contains(found.status), "\(suffix)")
            }
            for (path, body) in [
                ("events", #"{"type":"job_finished","outcome":"completed"}"#), ("executions", #"{"task":"t"}"#),
            ] {
                var headers = headers
                headers["Content-Type"] = "application/json"
                let hidden = try await client.request(
                    "POST", "/v1/jobs/\(other)/\(path)", headers: headers, body: Array(body.utf8))
                #expect(hidden.status == 404, "\(path)")
                let known = try await client.request(
                    "POST", "/v1/jobs/\(own)/\(path)", headers: headers, body: Array(body.utf8))
                #expect(known.status == 201, "\(path)")
            }
            let page = try await client.get("/jobs/\(other)", headers: headers)
            #expect(page.status == 404)
        }
    }

    @Test("lists, streams and search contain only the jobs of the confinement")
    func lists() async throws {
        try await AccessFixtures.withTeams { client, ledger, own, other in
            let headers = AccessFixtures.bearer(
                try await AccessFixtures.token("team a", [.read], AccessFixtures.teamA, of: ledger))
            for query in ["", "?search=job", "?state=running", "?tag.team=a", "?key=key%20of%20a"] {
                let jobs = try await client.get("/v1/jobs\(query)", headers: headers).json["jobs"]?.elements ?? []
                #expect(jobs.map { $0["job"]?.text } == [own], "\(query)")
            }
            for query in ["?tag.team=b", "?key=key%20of%20b", "?search=key%20of%20b"] {
                let jobs = try await client.get("/v1/jobs\(query)", headers: headers).json["jobs"]?.elements
                #expect(jobs?.isEmpty == true, "\(query)")
            }
            let page = try await client.get("/", headers: headers)
            let text = String(decoding: page.body, as: UTF8.self)
            #expect(text.contains(own) && !text.contains(other))
            let found = try await client.get("/?search=\(other)", headers: headers)
            #expect(found.status == 200 && !String(decoding: found.body, as: UTF8.self).contains("jobs/\(other)"))
            #expect(try await client.get("/?search=\(own)", headers: headers).status == 303)
            for (query, jobs) in [("", [own]), ("?tag.team=b", [])] {
                try await EventSource.open(client, "/v1/watch\(query)", headers: headers) { source in
                    let list = try #require(try await source.next())
                    #expect(try list.json["jobs"]?.elements?.map { $0.text } == jobs, "\(query)")
                }
            }
        }
    }

    @Test("a stream of a job begins only for a caller who may read the job")
    func streams() async throws {
        try await AccessFixtures.withTeams { client, ledger, own, other in
            let headers = AccessFixtures.bearer(
                try await AccessFixtures.token("team a", [.read], AccessFixtures.teamA, of: ledger))
            try await EventSource.open(client, "/v1/jobs/\(own)/watch", headers: headers) { source in
                #expect(source.head.hasPrefix("HTTP/1.1 200"))
            }
            try await EventSource.open(client, "/v1/jobs/\(other)/watch", headers: headers) { source in
                #expect(source.head.hasPrefix("HTTP/1.1 404"))
            }
            try await EventSource.open(client, "/v1/jobs/\(own)/watch") { source in
                #expect(source.head.hasPrefix("HTTP/1.1 401"))
            }
        }
    }

    @Test("new jobs get the tags of the confinement, and no other values of them")
    func creation() async throws {
        try await AccessFixtures.withTeams { client, ledger, own, other in
            var headers = AccessFixtures.bearer(
                try await AccessFixtures.token("team a", [.report], AccessFixtures.teamA, of: ledger))
            headers["Content-Type"] = "application/json"
            func create(_ body: String) async throws -> RawResponse {
                try await client.request("POST", "/v1/jobs", headers: headers, body: Array(body.utf8))
            }
            let plain = try await create(#"{"name":"x","tags":{"k":"v"}}"#)
            #expect(plain.status == 201)
            #expect(try JobView(try plain.json).description.tags == ["team": "a", "k": "v"])
            let contradicting = try await create(#"{"name":"x","tags":{"team":"b"}}"#)
            #expect(contradicting.status == 403)
            // The key of a job outside of the confinement is taken, but its id is not named.
            let taken = try await create(#"{"name":"x","key":"key of b"}"#)
            #expect(taken.status == 409)
            #expect(!String(decoding: taken.body, as: UTF8.self).contains(other))
            let ownTaken = try await create(#"{"name":"x","key":"key of a"}"#)
            #expect(ownTaken.status == 409)
            #expect(String(decoding: ownTaken.body, as: UTF8.self).contains(own))
            let same = try await create(#"{"name":"job of a","key":"key of a"}"#)
            #expect(try same.status == 200 && same.json["job"]?.text == own)

            let lines =
                #"[{"job":"\#(own)","type":"progress","task":"t"},{"job":"\#(other)","type":"progress","task":"t"}]"#
            let many = try await client.request("POST", "/v1/events", headers: headers, body: Array(lines.utf8))
            #expect(many.status == 422)
            #expect(try many.pointers == ["/1/job"])
            #expect(try await ledger.job(#require(JobID(own)))?.ledgerSequence == 1)
        }
    }

    // MARK: Cookies

    @Test("a login exchanges a token for a cookie that reads and changes nothing")
    func login() async throws {
        try await AccessFixtures.withTeams { client, ledger, own, _ in
            let text = try await AccessFixtures.token("reader", [.read, .report], of: ledger)
            let response = try await client.post("/login", #"{"token":"\#(text)"}"#)
            #expect(response.status == 200)
            let cookie = try #require(response.headers["set-cookie"])
            #expect(cookie.hasPrefix("progress_ledger_token=\(text); "))
            for attribute in ["Path=/;", "HttpOnly", "SameSite=Lax"] { #expect(cookie.contains(attribute)) }
            #expect(!cookie.contains("Secure"))
            let headers = ["Cookie": "other=1; progress_ledger_token=\(text)"]
            #expect(try await client.get("/v1/jobs/\(own)", headers: headers).status == 200)
            #expect(try await client.get("/jobs/\(own)", headers: headers).status == 200)
            let write = try await client.request(
                "POST", "/v1/jobs", headers: headers.merging(["Content-Type": "application/json"]) { $1 },
                body: Array(#"{"name":"x"}"#.utf8))
            #expect(write.status == 401)
            // A header is not replaced by a cookie.
            let both = headers.merging(["Authorization": "Bearer x"]) { $1 }
            #expect(try await client.get("/v1/jobs/\(own)", headers: both).status == 401)
            let out = try await client.request("POST", "/logout", headers: headers, body: [])
            #expect(out.status == 204)
            #expect(out.headers["set-cookie"]?.contains("progress_ledger_token=; ") == true)
            #expect(out.headers["set-cookie"]?.contains("Max-Age=0") == true)

            let secure = try await client.request(
                "POST", "/login",
                headers: ["Content-Type": "application/json", "Origin": "https://localhost"],
                body: Array(#"{"token":"\#(text)"}"#.utf8))
            #expect(secure.headers["set-cookie"]?.hasSuffix("; Secure") == true)
        }
    }

    @Test("a login with a wrong token, or one that does not permit reading, sets no cookie")
    func refusedLogin() async throws {
        try await AccessFixtures.withTeams { client, ledger, _, _ in
            let reporter = try await AccessFixtures.token("reporter", [.report], of: ledger)
            for (text, status) in [("pl_wrong", 401), (reporter, 403), ("", 401)] {
                let response = try await client.post("/login", #"{"token":"\#(text)"}"#)
                #expect(response.status == status, "\(text)")
                #expect(response.headers["set-cookie"] == nil)
            }
            #expect(try await client.post("/login", "{}").status == 422)
            let admin = try await AccessFixtures.token("admin", [.admin], of: ledger)
            let status = try await client.get("/v1/status", headers: AccessFixtures.bearer(admin)).json["refusals"]
            // The first and the last login; the second one lacked a scope.
            #expect(status?["token"]?.integer == 2 && status?["scope"]?.integer == 1)
        }
    }

    @Test("a browser without a token is sent to the login and back; programs get a problem")
    func redirection() async throws {
        try await AccessFixtures.withTeams { client, ledger, own, _ in
            _ = try await AccessFixtures.token("someone", [.read], of: ledger)
            let page = try await client.get("/jobs/\(own)?indicator=x", headers: ["Accept": "text/html,*/*"])
            #expect(page.status == 303)
            #expect(page.headers["location"] == "/login?next=jobs%2F\(own)%3Findicator%3Dx")
            #expect(try await client.get("/jobs/\(own)").status == 401)
            #expect(try await client.get("/login").status == 200)
            #expect(try await client.get("/pages/login.js").status == 200)
        }
    }

    @Test("the token of a share link reads its job, and nothing else")
    func share() async throws {
        try await AccessFixtures.withTeams { client, ledger, own, other in
            let job = try #require(JobID(own))
            let request = AccessTokenRequest(
                name: "share", scopes: [.read], confinement: Confinement(job: job), expiresAt: .latest)
            let (_, text) = try await ledger.createToken(request, by: nil)
            let login = try await client.post("/login", #"{"token":"\#(text)","share":true}"#)
            #expect(try login.json["job"]?.text == own)
            #expect(login.headers["set-cookie"]?.hasPrefix("progress_ledger_share_\(own)=") == true)
            let shared = ["Cookie": "progress_ledger_share_\(own)=\(text)"]
            #expect(try await client.get("/jobs/\(own)", headers: shared).status == 200)
            #expect(try await client.get("/v1/jobs/\(other)", headers: shared).status == 401)
            #expect(try await client.get("/v1/jobs", headers: shared).status == 401)
            // A link cannot replace a viewer's login by that of its author.
            let forced = try await client.post(
                "/login", #"{"token":"\#(try await AccessFixtures.token("author", [.read], of: ledger))","share":true}"#
            )
            #expect(forced.status == 403 && forced.headers["set-cookie"] == nil)
            // Leaving the browser leaves no shared job behind.
            let out = try await client.request("POST", "/logout", headers: shared, body: [])
            #expect(String(describing: out.headers).contains("progress_ledger_share_\(own)=;"))
            // The token itself: the list contains only its job.
            let headers = AccessFixtures.bearer(text)
            #expect(try await client.get("/v1/jobs/\(other)", headers: headers).status == 404)
            let jobs = try await client.get("/v1/jobs", headers: headers).json["jobs"]?.elements ?? []
            #expect(jobs.map { $0["job"]?.text } == [own])
            // Another login that does not permit the job does not take away what was shared.
            let team = try await AccessFixtures.token("team b", [.read], ["team": "b"], of: ledger)
            let both = ["Cookie": "progress_ledger_token=\(team); progress_ledger_share_\(own)=\(text)"]
            #expect(try await client.get("/v1/jobs/\(own)", headers: both).status == 200)
            #expect(try await client.get("/v1/jobs/\(other)", headers: both).status == 200)
        }
    }

    // MARK: The fast path and streams

    @Test("the fast path serves callers with a token, and refuses others as the routed path does")
    func fastPath() async throws {
        try await AccessFixtures.withTeams { client, ledger, own, other in
            let text = try await AccessFixtures.token("team a", [.read, .report], AccessFixtures.teamA, of: ledger)
            let reader = try await AccessFixtures.token("reader", [.read], of: ledger)
            let event = #"{"type":"progress","task":"t","done":1}"#
            func append(_ job: String, _ token: String?) -> String {
                "POST /v1/jobs/\(job)/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                    + (token.map { "Authorization: Bearer \($0)\r\n" } ?? "")
                    + "Content-Length: \(event.utf8.count)\r\n\r\n\(event)"
            }
            func get(_ job: String, _ token: String?) -> String {
                "GET /v1/jobs/\(job) HTTP/1.1\r\nHost: localhost\r\n"
                    + (token.map { "Authorization: Bearer \($0)\r\n" } ?? "") + "\r\n"
            }
            // The first request of a confined caller for a job finds its tags, which the fast path remembers.
            var statuses: [Int] = []
            // One at a time: a request behind a routed one is routed too.
            for request in [
                append(own, text), append(own, text), append(own, nil), append(own, reader), append(other, text),
                append(other, text), get(own, text), get(other, text), get(own, nil), get(own, reader),
            ] {
                statuses += try await client.sendPipelined([request]).map(\.status)
            }
            #expect(statuses == [201, 201, 401, 403, 404, 404, 200, 404, 401, 200])
            #expect(try await ledger.job(#require(JobID(own)))?.ledgerSequence == 3)
            // Both paths record who appended the events; the job is from before the first token.
            let events = try await client.get("/v1/jobs/\(own)/events", headers: AccessFixtures.bearer(reader)).json[
                "events"]
            #expect(events?.elements?.map { $0["reporter"]?.text } == [nil, "token:team a", "token:team a"])
            #expect(try await ledger.job(#require(JobID(other)))?.ledgerSequence == 1)
            let metrics = try await client.get("/metrics", headers: AccessFixtures.bearer(reader))
            let lines = String(decoding: metrics.body, as: UTF8.self).split(separator: "\n")
            #expect(lines.contains { $0 == "progress_ledger_http_requests_total{path=\"fast\"} 3" })
            for line in ["token\"} 2", "scope\"} 1", "confinement\"} 3"] {
                #expect(lines.contains { $0 == "progress_ledger_http_refusals_total{reason=\"\(line)" }, "\(line)")
            }
        }
    }

    @Test("a connection remembers no token that was revoked or replaced, and no scope")
    func memory() async throws {
        try await AccessFixtures.withTeams { client, ledger, own, _ in
            let (both, text) = try await ledger.createToken(
                AccessTokenRequest(name: "both", scopes: [.read, .report]), by: nil)
            let reader = try await AccessFixtures.token("reader", [.read], of: ledger)
            let event = #"{"type":"progress","task":"t","done":1}"#
            func append(_ token: String) -> String {
                "POST /v1/jobs/\(own)/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                    + "Authorization: Bearer \(token)\r\nContent-Length: \(event.utf8.count)\r\n\r\n\(event)"
            }
            func get(_ token: String) -> String {
                "GET /v1/jobs/\(own) HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \(token)\r\n\r\n"
            }
            let mixed = try await client.sendPipelined([get(reader), get(reader), get(text), append(text), get(reader)])
            #expect(mixed.map(\.status) == [200, 200, 200, 201, 200])
            // The scope is compared for every request.
            let scoped = try await client.sendPipelined([get(reader), append(reader)])
            #expect(scoped.map(\.status) == [200, 403])
            let channel = try await client.connect()
            try await channel.executeThenClose { inbound, outbound in
                var responses = inbound.makeAsyncIterator()
                for (isRevoked, expected) in [(false, 201), (false, 201), (true, 401)] {
                    if isRevoked { _ = try await ledger.revokeToken(both.id, within: .unconfined) }
                    try await outbound.write(ByteBuffer(string: append(text)))
                    let response = try #require(try await responses.next())
                    #expect(try RawClient.parse(Array(response.readableBytesView)).status == expected)
                }
            }
        }
    }

    @Test("a stream ends at the first change after its token was revoked, without that change")
    func revocation() async throws {
        try await AccessFixtures.withTeams { client, ledger, own, _ in
            let (reader, text) = try await ledger.createToken(
                AccessTokenRequest(name: "reader", scopes: [.read]), by: nil)
            try await EventSource.open(client, "/v1/jobs/\(own)/watch", headers: AccessFixtures.bearer(text)) {
                source in
                #expect(try await source.next()?.sequence == "1")
                _ = try await ledger.append(
                    [EventDraft(.progress(ProgressReport(reference: .init(task: "t"))))], to: #require(JobID(own)))
                #expect(try await source.next()?.sequence == "2")
                _ = try await ledger.revokeToken(reader.id, within: .unconfined)
                _ = try await ledger.append(
                    [EventDraft(.progress(ProgressReport(reference: .init(task: "u"))))], to: #require(JobID(own)))
                #expect(try await source.next() == nil)
            }
            #expect(try await client.get("/v1/jobs/\(own)", headers: AccessFixtures.bearer(text)).status == 401)
        }
    }

    @Test("with authentication a request for any host is served, unless names are configured")
    func hosts() async throws {
        for (names, status) in [([], 200), (["ledger.example.com"], 421)] as [([String], Int)] {
            try await withServer({ $0.allowedHosts = names }) { client, ledger in
                func get(_ host: String, _ token: String) async throws -> Int {
                    try await client.send(
                        Array(
                            "GET /v1/jobs HTTP/1.1\r\nHost: \(host)\r\nConnection: close\r\nAuthorization: Bearer \(token)\r\n\r\n"
                                .utf8)
                    ).status
                }
                #expect(try await get("other.example", "x") == 421)
                let text = try await AccessFixtures.token("reader", [.read], of: ledger)
                #expect(try await get("other.example", text) == status)
                #expect(try await get("localhost", text) == 200)
            }
        }
    }
}
