import Foundation
import Ledger
import LedgerStore
import LedgerTestSupport
import LedgerWire
import SwiftProtobuf
import Testing

@testable import LedgerHTTP
@testable import LedgerTilebox

@Suite("The routes for Tilebox's SDK")
struct TileboxRouteTests {
    private static let getJob = "/workflows.v1.JobService/GetJob"
    private static let queryJobs = "/workflows.v1.JobService/QueryJobs"

    /// Sends a call as the SDK does.
    ///
    /// By Connect over HTTP/1.1 with gzip, or by gRPC over HTTP/2.
    private func call(
        _ client: RawClient, _ path: String, _ message: [UInt8], grpc: Bool, token: String? = nil
    ) async throws -> RawResponse {
        var headers = token.map(AccessFixtures.bearer) ?? [:]
        guard grpc else {
            headers.merge(
                [
                    "Content-Type": "application/proto", "Content-Encoding": "gzip",
                    "Accept-Encoding": "gzip,identity", "Connect-Protocol-Version": "1",
                ]
            ) { $1 }
            return try await client.request(
                "POST", path, headers: headers, body: GzipStream().compress(message, isLast: true))
        }
        headers.merge(["Content-Type": "application/grpc", "TE": "trailers"]) { $1 }
        return try await client.requestOverHTTP2("POST", path, headers: headers, body: frame(message))
    }

    private func frame(_ message: [UInt8], isCompressed: Bool = false) -> [UInt8] {
        var frame = CallFormat.grpc.body(message)
        frame[0] = isCompressed ? 1 : 0
        return frame
    }

    /// Checks the headers of a successful response, and returns its message.
    private func message<M: SwiftProtobuf.Message>(
        _ type: M.Type, _ response: RawResponse, grpc: Bool
    ) async throws -> M {
        #expect(response.status == 200)
        guard grpc else {
            #expect(response.headers["content-type"] == "application/proto")
            let isCompressed = response.headers["content-encoding"] == "gzip"
            let bytes = isCompressed ? try await Gunzip.run(response.body) : response.body
            return try M(serializedBytes: bytes)
        }
        #expect(response.headers["content-type"] == "application/grpc")
        #expect(response.headers["content-encoding"] == nil)
        #expect(response.headers["grpc-status"] == "0")
        return try M(serializedBytes: try CallFormat.grpc.message(in: response.body, encoding: nil))
    }

    /// The code and the message of a failed call.
    private func error(_ response: RawResponse, grpc: Bool) throws -> (code: String?, text: String?) {
        guard grpc else {
            #expect(response.headers["content-type"] == "application/json")
            return (try response.json["code"]?.text, try response.json["message"]?.text)
        }
        #expect(response.status == 200 && response.body.isEmpty)
        let number = Int(try #require(response.headers["grpc-status"]))
        let code = CallError.Code.allCases.first { $0.number == number }
        return (code?.rawValue, response.headers["grpc-message"]?.removingPercentEncoding)
    }

    private func request(_ job: JobID) throws -> [UInt8] {
        var request = Workflows_V1_GetJobRequest()
        request.jobID.uuid = job.data
        return try request.serializedBytes()
    }

    private func query(
        _ adjust: (inout Workflows_V1_QueryJobsRequest) -> Void = { _ in }
    ) throws -> [UInt8] {
        var request = Workflows_V1_QueryJobsRequest()
        request.filters = .init()
        request.page = .init()
        adjust(&request)
        return try request.serializedBytes()
    }

    private func names(
        _ client: RawClient, _ message: [UInt8], grpc: Bool, token: String? = nil
    ) async throws -> [String] {
        let response = try await call(client, Self.queryJobs, message, grpc: grpc, token: token)
        return try await self.message(Workflows_V1_QueryJobsResponse.self, response, grpc: grpc).jobs.map(\.name)
    }

    @Test("a job and its progress are read by Connect and by gRPC", arguments: [false, true])
    func job(grpc: Bool) async throws {
        try await withServer {
            $0.servesTilebox = true
        } _: { client, ledger in
            let id = try await ledger.createJob(JobDescription(name: "mosaic", key: "k")).view.id
            let task = ExecutionReference(task: "t", execution: "e", attempt: nil)
            _ = try await ledger.append(
                [
                    EventDraft(.progress(ProgressReport(reference: task, label: "tiles", total: 10, done: 4))),
                    EventDraft(.progress(ProgressReport(reference: task, total: 1))),
                ], to: id)
            let response = try await call(client, Self.getJob, request(id), grpc: grpc)
            let job = try await message(Workflows_V1_Job.self, response, grpc: grpc)
            #expect(job.id.uuid == id.data && job.name == "mosaic" && job.state == .running)
            #expect(job.progress.map { "\($0.label) \($0.done)/\($0.total)" } == ["tiles 4/10", " 0/1"])
            #expect(job.executionStats.totalTasks == 1)
            // Any number of calls share a connection.
            if grpc {
                try await client.withHTTP2 { connection in
                    for _ in 0..<3 {
                        let again = try await connection.request(
                            "POST", Self.getJob, headers: ["content-type": "application/grpc"],
                            body: frame(request(id)))
                        #expect(again.headers["grpc-status"] == "0")
                    }
                }
            }
        }
    }

    @Test("a job is also found by its key, if that is the id", arguments: [false, true])
    func key(grpc: Bool) async throws {
        try await withServer {
            $0.servesTilebox = true
        } _: { client, ledger in
            let foreign = JobID(high: 0x0192_0000_0000_7000, low: 0x8000_0000_0000_0001)
            _ = try await ledger.createJob(JobDescription(name: "other", tags: ["team": "b"]))
            let id = try await ledger.createJob(
                JobDescription(name: "mosaic", key: Name(foreign.description), tags: ["team": "a"])
            ).view.id
            let response = try await call(client, Self.getJob, request(foreign), grpc: grpc)
            let job = try await message(Workflows_V1_Job.self, response, grpc: grpc)
            #expect(job.id.uuid == id.data && job.name == "mosaic")
            // Not if it is outside of the confinement.
            let token = try await AccessFixtures.token("b", [.read], ["team": "b"], of: ledger)
            let refused = try await call(client, Self.getJob, request(foreign), grpc: grpc, token: token)
            #expect(try error(refused, grpc: grpc).code == "not_found")
        }
    }

    @Test("queries follow their pages and filters", arguments: [false, true])
    func queries(grpc: Bool) async throws {
        try await withServer {
            $0.servesTilebox = true
        } _: { client, ledger in
            var ids: [JobID] = []
            for number in 1...5 {
                ids.append(try await ledger.createJob(JobDescription(name: Name("job \(number)"))).view.id)
            }
            _ = try await ledger.append([EventDraft(.jobFinished(.failed))], to: ids[1])
            #expect(try await names(client, query(), grpc: grpc).sorted() == (1...5).map { "job \($0)" })
            #expect(try await names(client, query { $0.filters.name = "JOB 3" }, grpc: grpc) == ["job 3"])
            #expect(try await names(client, query { $0.filters.states = [.failed] }, grpc: grpc) == ["job 2"])
            #expect(try await names(client, query { $0.filters.clusterSlugs = ["c"] }, grpc: grpc).isEmpty)
            var found: [String] = []
            var next: Data?
            for _ in 0..<10 {
                let response = try await call(
                    client, Self.queryJobs,
                    query {
                        $0.page.limit = 2
                        if let next { $0.page.startingAfter.uuid = next }
                    }, grpc: grpc)
                let page = try await message(Workflows_V1_QueryJobsResponse.self, response, grpc: grpc)
                found += page.jobs.map(\.name)
                guard page.hasNextPage else { break }
                next = page.nextPage.startingAfter.uuid
            }
            #expect(found.count == 5 && Set(found).count == 5)
        }
    }

    @Test("a reader sees the jobs of its confinement, and no others", arguments: [false, true])
    func confinement(grpc: Bool) async throws {
        try await withServer {
            $0.servesTilebox = true
        } _: { client, ledger in
            let own = try await ledger.createJob(JobDescription(name: "own", tags: ["team": "a"])).view.id
            let other = try await ledger.createJob(JobDescription(name: "other", tags: ["team": "b"])).view.id
            let token = try await AccessFixtures.token("reader", [.read], AccessFixtures.teamA, of: ledger)
            let unknown = JobID(high: 0x0190_0000_0000_7000, low: 0x8000_0000_0000_0000)
            #expect(try await names(client, query(), grpc: grpc, token: token) == ["own"])
            let found = try await call(client, Self.getJob, request(own), grpc: grpc, token: token)
            #expect(try await message(Workflows_V1_Job.self, found, grpc: grpc).name == "own")
            for job in [other, unknown] {
                let refused = try error(
                    try await call(client, Self.getJob, request(job), grpc: grpc, token: token), grpc: grpc)
                #expect(refused.code == "not_found")
                #expect(refused.text == "There is no job \(job) in this ledger.")
            }
            let reporter = try await AccessFixtures.token("reporter", [.report], of: ledger)
            let callers: [(token: String?, code: String)] = [
                (nil, "unauthenticated"), ("x", "unauthenticated"), (reporter, "permission_denied"),
            ]
            for (token, code) in callers {
                for path in [Self.getJob, Self.queryJobs] {
                    let refused = try await call(client, path, request(own), grpc: grpc, token: token)
                    #expect(try error(refused, grpc: grpc).code == code)
                    #expect(refused.headers["www-authenticate"] != nil)
                }
            }
        }
    }

    @Test("hostile bodies are refused with the code of their fault", arguments: [false, true])
    func hostile(grpc: Bool) async throws {
        try await withServer {
            $0.servesTilebox = true
        } _: { client, ledger in
            let id = try await ledger.createJob(JobDescription(name: "j")).view.id
            let bomb = GzipStream().compress([UInt8](repeating: 0, count: 40 << 20), isLast: true)
            let long = [UInt8](repeating: 0, count: CallFormat.messageBytesMax + 1)
            let plain = try request(id)
            let packed = GzipStream().compress(plain, isLast: true)
            let cut = Array(packed.dropLast())
            let frames: [(body: [UInt8], encoding: String?, code: String)] = [
                ([], nil, "invalid_argument"), ([0, 0, 0, 0, 9, 1], nil, "invalid_argument"),
                (frame(bomb, isCompressed: true), "gzip", "resource_exhausted"),
                (frame(cut, isCompressed: true), "gzip", "invalid_argument"),
                (frame(packed, isCompressed: true), "zstd", "unimplemented"),
                (frame([0xFF]), nil, "invalid_argument"), (frame([]), nil, "invalid_argument"),
                (long, nil, "resource_exhausted"),
            ]
            let messages: [(body: [UInt8], encoding: String?, code: String)] = [
                (bomb, "gzip", "resource_exhausted"), (cut, "gzip", "invalid_argument"),
                (packed, nil, "invalid_argument"), (plain, "gzip", "invalid_argument"),
                (packed, "br", "unimplemented"), ([], nil, "invalid_argument"), (long, nil, "resource_exhausted"),
            ]
            for (index, row) in (grpc ? frames : messages).enumerated() {
                var headers = ["content-type": grpc ? "application/grpc+proto" : "application/proto; charset=utf-8"]
                headers[grpc ? "grpc-encoding" : "content-encoding"] = row.encoding
                let response =
                    try await grpc
                    ? client.requestOverHTTP2("POST", Self.getJob, headers: headers, body: row.body)
                    : client.request("POST", Self.getJob, headers: headers, body: row.body)
                #expect(try error(response, grpc: grpc).code == row.code, "\(index)")
            }
            // The server still serves.
            let found = try await call(client, Self.getJob, request(id), grpc: grpc)
            #expect(try await message(Workflows_V1_Job.self, found, grpc: grpc).name == "j")
        }
    }

    @Test("other media types and methods get problem+json")
    func others() async throws {
        try await withServer {
            $0.servesTilebox = true
        } _: { client, _ in
            for type in ["application/json", "application/grpc-web", ""] {
                let response = try await client.request(
                    "POST", Self.getJob, headers: ["Content-Type": type], body: Array("{}".utf8))
                #expect(response.status == 415 && response.headers["content-type"] == "application/problem+json")
            }
            let get = try await client.get(Self.getJob)
            #expect(get.status == 405 && get.headers["allow"] == "OPTIONS, POST")
            #expect(try await client.post("/workflows.v1.JobService/CancelJob", "").status == 404)
            let foreign = try await client.request(
                "POST", Self.getJob, headers: ["Content-Type": "application/proto", "Origin": "https://evil.example"],
                body: [])
            #expect(foreign.status == 403)
        }
    }

    @Test("spans and logs are received and dropped within the limit of bodies")
    func telemetry() async throws {
        try await withServer {
            $0.servesTilebox = true
            $0.bodyBytesMax = 100_000
        } _: { client, ledger in
            for path in ["/v1/traces", "/v1/logs"] {
                func send(_ count: Int, _ type: String = "application/x-protobuf") async throws -> RawResponse {
                    try await client.request(
                        "POST", path, headers: ["Content-Type": type, "Content-Encoding": "gzip"],
                        body: [UInt8](repeating: 7, count: count))
                }
                let accepted = try await send(100_000)
                #expect(accepted.status == 200 && accepted.body.isEmpty)
                #expect(accepted.headers["content-type"] == "application/x-protobuf")
                #expect(try await send(100_001).status == 413)
                #expect(try await send(1, "application/json").status == 415)
            }
            _ = try await AccessFixtures.token("reader", [.read], of: ledger)
            #expect(try await client.post("/v1/traces", "", type: "application/x-protobuf").status == 401)
        }
    }

    @Test("failed calls of gRPC are counted by their status, not by the 200 of their head")
    func metrics() async throws {
        try await withServer {
            $0.servesTilebox = true
        } _: { client, _ in
            let unknown = JobID(high: 1, low: 1)
            _ = try await call(client, Self.getJob, request(unknown), grpc: true)
            let metrics = String(decoding: try await client.get("/metrics").body, as: UTF8.self)
            let line = metrics.split(separator: "\n").first {
                $0.contains(Self.getJob) && $0.contains("_count{") && $0.contains("4xx")
            }
            #expect(line?.hasSuffix(" 1") == true, "\(metrics)")
        }
    }

    @Test("without the setting there are no such routes")
    func off() async throws {
        try await withServer { client, _ in
            for path in [Self.getJob, Self.queryJobs, "/v1/traces", "/v1/logs"] {
                #expect(try await client.post(path, "", type: "application/proto").status == 404)
            }
            let description = String(decoding: try await client.get("/openapi.json").body, as: UTF8.self)
            #expect(!description.contains("tilebox"))
        }
    }
}
