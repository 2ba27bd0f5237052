import Ledger
import LedgerHTTP
import LedgerStore
import LedgerTestSupport
import LedgerWire
import Testing

@Suite("Requests about a retired job")
struct RetiredJobTests {
    private static let place = "s3://archive/jobs.ndjson"

    /// Requests to the routes of a job, except that of its verification.
    private static func requests(_ job: JobID) -> [(method: String, path: String, body: String?)] {
        let path = "/v1/jobs/\(job)"
        let progress = #"{"type":"progress","task":"t","done":1}"#
        return [
            ("GET", path, nil), ("GET", "\(path)/progress", nil), ("GET", "\(path)/progress?at_sequence=1", nil),
            ("GET", "\(path)/progress?policy=all", nil), ("GET", "\(path)/progress?policy=last_successful", nil),
            ("GET", "\(path)/events", nil), ("GET", "\(path)/tasks", nil), ("GET", "\(path)/explain?label=l", nil),
            ("GET", "\(path)/history?label=l", nil), ("GET", "\(path)/diff?from=1", nil), ("GET", "\(path)/watch", nil),
            ("GET", "\(path)/export", nil), ("GET", "\(path)/badge.svg", nil), ("GET", "/jobs/\(job)", nil),
            ("POST", "\(path)/events", progress), ("POST", "\(path)/events?wait=folded", progress),
            ("POST", "\(path)/executions", #"{"task":"t"}"#),
            ("POST", "/v1/events", #"[{"job":"\#(job)","type":"progress","task":"t","done":1}]"#),
            ("POST", "/v1/jobs", #"{"name":"past","key":"k","tags":{"team":"a"}}"#),
            ("POST", "/v1/replays", #"{"job":"\#(job)"}"#),
        ]
    }

    private static func headers(_ body: String?, _ tag: String) -> [String: String] {
        body == nil ? ["If-None-Match": tag] : ["Content-Type": "application/json"]
    }

    @Test("all routes but verify respond with 410, which names the export to administrators only")
    func routes() async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target) { ledger in
                let job = try await PastJob.add(key: "k", to: ledger)
                var settings = ServerSettings()
                settings.port = 0
                try await withServer(on: ledger, settings) { client in
                    let admin = AccessFixtures.bearer(try await AccessFixtures.token("admin", [.admin], of: ledger))
                    let user = AccessFixtures.bearer(
                        try await AccessFixtures.token("user", [.read, .report], of: ledger))
                    let other = AccessFixtures.bearer(
                        try await AccessFixtures.token("other", [.read, .report], ["team": "b"], of: ledger))
                    // The response is cached, and its entity tag known, before the job is retired.
                    let before = try await client.get("/v1/jobs/\(job)", headers: user)
                    #expect(before.status == 200)
                    let tag = try #require(before.headers["etag"])

                    let store = try await RetirementStore(target: target, logger: TestCluster.logger)
                    let head = try #require(try await store.head(of: job)?.position)
                    try await store.retire(
                        [(job, head)], in: Retirement.Export(sha256: EventHash(1, 2, 3, 4), place: Self.place),
                        deletesEvents: true)
                    await store.close()

                    for (method, path, body) in Self.requests(job) {
                        for (caller, isAdmin) in [(admin, true), (user, false)] {
                            if path == "/v1/replays", !isAdmin { continue }
                            let response = try await client.request(
                                method, path, headers: caller.merging(Self.headers(body, tag)) { $1 },
                                body: body.map { Array($0.utf8) })
                            let text = String(decoding: response.body, as: UTF8.self)
                            #expect(response.status == 410, "\(method) \(path): \(text)")
                            #expect(text.contains("retired"), "\(method) \(path): \(text)")
                            let isPage = path.hasPrefix("/jobs/")
                            #expect(text.contains(Self.place) == (isAdmin && !isPage), "\(method) \(path): \(text)")
                        }
                        if path.contains("\(job)") {
                            let hidden = try await client.request(
                                method, path, headers: other.merging(Self.headers(body, tag)) { $1 },
                                body: body.map { Array($0.utf8) })
                            #expect(hidden.status == 404, "\(method) \(path)")
                        }
                    }
                    let verified = try await client.get("/v1/jobs/\(job)/verify", headers: user).json
                    #expect(verified["ok"] == .bool(true) && verified["retired_at"]?.text != nil)
                    let listed = try await client.get("/v1/jobs?state=completed", headers: user).json
                    #expect(listed["jobs"]?.elements?.first?["retired"] == .bool(true))
                    #expect(try await client.get("/", headers: user).status == 200)
                }
            }
        }
    }
}
