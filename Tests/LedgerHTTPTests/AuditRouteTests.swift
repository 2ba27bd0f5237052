import Ledger
import LedgerProjection
import LedgerStore
import LedgerTestSupport
import LedgerWire
import Testing

@testable import LedgerHTTP

@Suite("Routes for auditors and operators")
struct AuditRouteTests {
    private static let unknownJob = "01900000-0000-7000-8000-000000000000"

    /// Runs the body with a server that has a projection worker and a replay runner.
    private func withReplays(_ body: (RawClient, PostgresLedger) async throws -> Void) async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, replays: ReplaySettings()) { ledger in
                var settings = ServerSettings()
                settings.port = 0
                try await withServer(on: ledger, settings) { try await body($0, ledger) }
            }
        }
    }

    @Test("a server replays as the example of the description asks")
    func example() async throws {
        try await withReplays { client, _ in
            let body = try #require(RouteExamples.body(of: "beginReplay"))
            #expect(try await client.post("/v1/replays", body).status == 202)
        }
    }

    @Test("a replay can be started, followed to its end, reverted and dropped")
    func replays() async throws {
        try await withReplays { client, ledger in
            let job = try await client.createJob()
            _ = try await client.post(
                "/v1/jobs/\(job)/events?wait=folded", #"{"type":"progress","task":"t","label":"l","total":4,"done":1}"#)
            let started = try await client.post("/v1/replays", #"{"apply":true}"#)
            #expect(started.status == 202)
            let id = try #require(try started.json["replay"]?.text)
            #expect(started.headers["location"] == "/v1/replays/\(id)")
            #expect(try started.json["job"] == .null && started.json["policy"] == .string("last"))
            try await eventually(equals: .string("applied")) { try await client.get("/v1/replays/\(id)").json["state"] }
            let applied = try await client.get("/v1/replays/\(id)").json
            #expect(applied["difference_count"] == .integer(0) && applied["keeps"] == .bool(true))
            #expect(applied["jobs"]?["done"] == .integer(1) && applied["events"]?["done"] == .integer(2))
            #expect(try await client.get("/v1/jobs/\(id)").status == 200)
            #expect(try await client.get("/v1/replays").json["replays"]?.elements?.count == 1)
            let reverting = try await client.request("POST", "/v1/replays/\(id)/revert")
            #expect(reverting.status == 202)
            try await eventually(equals: .string("reverted")) {
                try await client.get("/v1/replays/\(id)").json["state"]
            }
            #expect(try await client.request("POST", "/v1/replays/\(id)/revert").status == 409)
            let dropped = try await client.request("DELETE", "/v1/replays/\(id)")
            #expect(dropped.status == 202)
            #expect(try dropped.json["keeps"] == .bool(false))
        }
    }

    @Test("an invalid replay request is refused with its location, and an unknown replay is 404")
    func badReplays() async throws {
        try await withServer { client, _ in
            for (body, location) in [
                (#"{"policy":"first"}"#, "/policy"), (#"{"apply":1}"#, "/apply"), (#"{"job":"x"}"#, "/job"),
                (#"{"policy":"all","apply":true}"#, "/apply"), (#"{"jobs":[]}"#, "/jobs"),
            ] {
                let refused = try await client.post("/v1/replays", body)
                #expect(refused.status == 422)
                #expect(try refused.pointers == [location], "\(body)")
            }
            #expect(try await client.post("/v1/replays", #"{"job":"\#(Self.unknownJob)"}"#).status == 404)
            for path in ["/v1/replays/\(Self.unknownJob)", "/v1/replays/x"] {
                #expect(try await client.get(path).status == 404)
                #expect(try await client.request("DELETE", path).status == 404)
                #expect(try await client.request("POST", "\(path)/revert").status == 404)
            }
        }
    }

    @Test("heads are listed in pages, and serve as anchors of a verification in parts")
    func proofs() async throws {
        try await withServer { client, _ in
            var jobs: [String] = []
            for number in 0..<3 { jobs.append(try await client.createJob("job \(number)")) }
            let first = try await client.get("/v1/heads?limit=2").json
            let cursor = try #require(first["next_cursor"]?.text)
            let second = try await client.get("/v1/heads?limit=2&cursor=\(cursor)").json
            #expect(second["next_cursor"] == .null)
            let heads = (first["heads"]?.elements ?? []) + (second["heads"]?.elements ?? [])
            #expect(heads.compactMap { $0["job"]?.text } == jobs)
            let hash = try #require(heads[0]["hash"]?.text)
            let other = String(repeating: "0", count: 64)
            let path = "/v1/jobs/\(jobs[0])/verify"
            let intact = try await client.get("\(path)?anchor_sequence=1&anchor_hash=\(hash)").json
            #expect(intact["ok"] == .bool(true) && intact["complete"] == .bool(true))
            let wrong = try await client.get("\(path)?anchor_sequence=1&anchor_hash=\(other)").json
            #expect(wrong["ok"] == .bool(false) && wrong["fault"]?["kind"] == .string("anchor"))
            let truncated = try await client.get("\(path)?anchor_sequence=2&anchor_hash=\(other)").json
            #expect(truncated["fault"]?["kind"] == .string("anchor") && truncated["fault"]?["sequence"] == .integer(2))
            let line = #"{"type":"progress","task":"t","done":1}"#
            _ = try await client.post("/v1/jobs/\(jobs[0])/events", "[\(line),\(line)]")
            let part = try await client.get("\(path)?after=1&hash=\(hash)&limit=1").json
            #expect(part["ok"] == .bool(true) && part["sequence"] == .integer(2))
            #expect(part["complete"] == .bool(false) && part["ledger_sequence"] == .integer(3))
            let beyond = try await client.get("\(path)?after=\(Int64.max)&hash=\(hash)&limit=10000000").json
            #expect(beyond["ok"] == .bool(false) && beyond["fault"]?["kind"] == .string("altered"))
            for query in [
                "after=1", "hash=\(hash)", "after=1&hash=12", "anchor_sequence=0", "limit=0", "anchor_hash=x",
            ] {
                #expect(try await client.get("\(path)?\(query)").status == 422, "\(query)")
            }
        }
    }

    @Test("an export is imported unchanged and only once, and an altered one is refused")
    func exports() async throws {
        var export = ""
        var job = ""
        var shown: JSONValue = .null
        try await withServer { client, _ in
            job = try await client.createJob()
            _ = try await client.post(
                "/v1/jobs/\(job)/events?wait=folded",
                #"[{"type":"progress","task":"t","done":1},{"type":"progress","task":"t","attempt":2,"total":3}]"#)
            let response = try await client.get("/v1/jobs/\(job)/export")
            #expect(response.status == 200 && response.headers["content-type"] == "application/x-ndjson")
            export = String(decoding: response.body, as: UTF8.self)
            shown = try await client.get("/v1/jobs/\(job)").json
            #expect(try await client.get("/v1/jobs/\(Self.unknownJob)/export").status == 404)
        }
        let lines = export.split(separator: "\n")
        #expect(lines.count == 4 && lines[0].contains("progress-ledger-export-1"))
        try await withServer { client, ledger in
            let type = "application/x-ndjson"
            let changed = try await client.post(
                "/v1/imports", export.replacing(#""done":1"#, with: #""done":2"#), type: type)
            #expect(changed.status == 422)
            #expect(try await client.get("/v1/jobs/\(job)").status == 404)
            #expect(try await client.post("/v1/imports", String(lines[0]), type: type).status == 422)
            #expect(try await client.post("/v1/imports", String(lines[1]), type: type).pointers == ["/format"])
            #expect(try await client.post("/v1/imports", "{", type: type).status == 400)
            #expect(try await client.post("/v1/imports", "{}").status == 415)
            let broken = [lines[0], #"{"sequence":1}"#].joined(separator: "\n")
            #expect(try await client.post("/v1/imports", broken, type: type).pointers == ["/0/type"])
            let imported = try await client.post("/v1/imports", export, type: type)
            #expect(imported.status == 201)
            #expect(try imported.json["appended"] == .integer(3) && imported.json["complete"] == .bool(true))
            let repeated = try await client.post("/v1/imports", export, type: type)
            #expect(repeated.status == 200)
            #expect(try repeated.json["appended"] == .integer(0))
            let id = try #require(JobID(job))
            let isFolded = try await ledger.waitUntilFolded(id, sequence: 3, deadline: .testTimeout)
            #expect(isFolded)
            var importedJob = try JobView(try await client.get("/v1/jobs/\(job)").json)
            var exportedJob = try JobView(shown)
            // The server's clock has advanced between the two responses.
            (importedJob.now, exportedJob.now) = (nil, nil)
            #expect(importedJob == exportedJob)
            let later = [lines[0], lines[3]].joined(separator: "\n").replacing(job, with: Self.unknownJob)
            #expect(try await client.post("/v1/imports", later, type: type).status == 409)
        }
    }

    @Test("status and metrics report the lag and the workers")
    func status() async throws {
        try await withPostgresServer { client, _ in
            let job = try await client.createJob()
            _ = try await client.post(
                "/v1/jobs/\(job)/events?wait=folded", #"{"type":"progress","task":"t","done":1}"#)
            let status = try await client.get("/v1/status").json
            #expect(status["lag"]?["events"] == .integer(0) && status["replay"] == .null)
            let worker = try #require(status["workers"]?.elements?.first)
            #expect(worker["lost"] == .bool(false))
            #expect(try LedgerStatus(status).workers.count == 1)
            #expect(status["version"]?.text == ProductVersion.current.number)
            #expect(try LedgerStatus(status).build == ProductVersion.current.build)
            let name = try #require(worker["worker"]?.text)
            let metrics = String(decoding: try await client.get("/metrics").body, as: UTF8.self)
            #expect(metrics.contains("progress_ledger_worker_up{worker=\"\(name)\""))
            #expect(metrics.contains("\nprogress_ledger_projection_workers 1.0\n"))
        }
    }
}
