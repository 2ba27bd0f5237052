import HTTPTypes
import Ledger
import LedgerStore
import LedgerTestSupport
import LedgerWire
import NIOCore
import NIOHTTP1
import Synchronization
import Testing

@testable import LedgerHTTP

/// The limits of one request in time, threads and memory.
@Suite("Limits of requests")
struct BoundTests {
    /// Work that computes until it is stopped, and ignores its cancellation.
    private final class Spinner: Sendable {
        private let isStopped = Atomic(false)
        let wasCancelled = Atomic(false)

        func spin() {
            while !isStopped.load(ordering: .relaxed) {
                if Task.isCancelled { wasCancelled.store(true, ordering: .relaxed) }
            }
        }

        func stop() { isStopped.store(true, ordering: .relaxed) }
    }

    @Test("a request with endless work gets a response in time, and its task is cancelled")
    func endlessWork() async throws {
        let spinner = Spinner()
        defer { spinner.stop() }
        let bound = TimeBound(limit: .milliseconds(50), cancelsWork: true)
        await #expect(throws: TimeBound.Exceeded.self) {
            try await bound.run(on: ComputeExecutor.shared) { spinner.spin() }
        }
        try await eventually { spinner.wasCancelled.load(ordering: .relaxed) }
    }

    @Test("a cancelled caller does not wait for endless work")
    func cancelledCaller() async throws {
        let spinners = (0..<System.coreCount + 1).map { _ in Spinner() }
        defer { for spinner in spinners { spinner.stop() } }
        // There are more of them than threads, but the threads of the standard executor stay free.
        let callers = spinners.map { spinner in
            Task {
                try await TimeBound(limit: .seconds(600), cancelsWork: true).run(on: ComputeExecutor.shared) {
                    spinner.spin()
                }
            }
        }
        for caller in callers { caller.cancel() }
        for caller in callers { await #expect(throws: CancellationError.self) { try await caller.value } }
    }

    @Test("a write that may have been recorded is not cancelled when its time is over")
    func slowWrite() async throws {
        let spinner = Spinner()
        let ended = Atomic(false)
        let bound = TimeBound(limit: .milliseconds(50), cancelsWork: false)
        await #expect(throws: TimeBound.Exceeded.self) {
            try await bound.run(on: ComputeExecutor.shared) {
                spinner.spin()
                ended.store(true, ordering: .relaxed)
            }
        }
        let wasCancelled = spinner.wasCancelled.load(ordering: .relaxed)
        #expect(!wasCancelled)
        spinner.stop()
        try await eventually { ended.load(ordering: .relaxed) }
    }

    @Test("every route responds in time if the database hangs; only writes have unknown outcomes")
    func hangingDatabase() async throws {
        try await withLedgerDatabase { target in
            let proxy = try FaultProxy(before: target)
            defer { proxy.close() }
            var settings = ServerSettings()
            settings.port = 0
            settings.readDeadline = .seconds(3)
            settings.writeDeadline = .seconds(4)
            let (job, served) = try await withRunningLedger(on: target) { ledger in
                (try await ledger.createJob(JobDescription(name: "job")).view.id, settings)
            }
            let ledger = PostgresLedger(target: proxy.target, logger: TestCluster.logger)
            let running = Task { try await ledger.run() }
            defer { running.cancel() }
            try await withServer(on: ledger, served) { client in
                let event = #"{"type":"progress","task":"t"}"#
                try await eventually(equals: 201) { try await client.post("/v1/jobs/\(job)/events", event).status }
                proxy.hang()
                let reads = [
                    "/v1/jobs/\(job)", "/v1/jobs/\(job)/progress?policy=all", "/v1/jobs", "/v1/jobs/\(job)/events",
                    "/v1/jobs/\(job)/tasks", "/v1/jobs/\(job)/explain", "/v1/jobs/\(job)/history",
                    "/v1/jobs/\(job)/diff", "/v1/jobs/\(job)/verify", "/v1/jobs/\(job)/export", "/v1/heads",
                    "/v1/replays", "/v1/status", "/v1/jobs/\(job)/watch?", "/jobs/\(job)", "/",
                ]
                try await withThrowingDiscardingTaskGroup { group in
                    for path in reads {
                        group.addTask {
                            let response = try await client.get(path, headers: ["Accept": "text/html"])
                            #expect([503, 504].contains(response.status), "\(path): \(response.status)")
                            let text = String(decoding: response.body, as: UTF8.self)
                            // Pages show the problem to people.
                            #expect(text.contains("Try again</a>") != path.hasPrefix("/v1/"), "\(path)")
                            #expect(!text.contains("Outcome unknown"), "\(path)")
                            #expect(response.headers["retry-after"] != nil, "\(path)")
                        }
                    }
                }
                let writes = [
                    ("/v1/jobs/\(job)/events", event), ("/v1/jobs/\(job)/events?wait=folded", event),
                    ("/v1/jobs", #"{"name":"n"}"#), ("/v1/jobs/\(job)/executions", #"{"task":"t"}"#),
                    ("/v1/events", #"[{"job":"\#(job)","type":"progress","task":"t"}]"#), ("/v1/replays", "{}"),
                ]
                try await withThrowingDiscardingTaskGroup { group in
                    for (path, body) in writes {
                        group.addTask {
                            let response = try await client.post(path, body)
                            #expect(response.status == 503, "\(path): \(response.status)")
                            #expect(response.headers["retry-after"] != nil, "\(path)")
                        }
                    }
                }
                proxy.close()
            }
        }
    }

    @Test("a recorded write gets its response in time even if the projection is slow")
    func slowProjection() async throws {
        var settings = ServerSettings()
        settings.port = 0
        settings.foldDeadline = .seconds(60)
        try await withServer(on: InMemoryLedger(isFolding: false), settings) { client in
            let job = try await client.createJob()
            let event = #"{"type":"progress","task":"t"}"#
            async let appended = client.post("/v1/jobs/\(job)/events?wait=folded", event)
            async let started = client.post("/v1/jobs/\(job)/executions", #"{"task":"t"}"#)
            let (append, start) = try await (appended, started)
            #expect(append.status == 201)
            #expect(try append.json["verdicts"] == .null)
            #expect(start.status == 201)
        }
    }

    @Test("the time limit of a route follows from its method and from Prefer: wait")
    func bounds() {
        let settings = ServerSettings()
        func route(_ method: HTTPRequest.Method, prefersWait: Bool = false) -> Route {
            Route(
                access: .open, method: method, path: "/", operation: "o", summary: "s", responses: [],
                prefersWait: prefersWait
            ) { _ in LedgerResponse(status: .ok) }
        }
        #expect(route(.get).bound(settings, waiting: 30).limit == .seconds(10))
        #expect(route(.get, prefersWait: true).bound(settings, waiting: 30).limit == .seconds(40))
        #expect(route(.post).bound(settings, waiting: 30).limit == .seconds(35))
        #expect(route(.delete).bound(settings, waiting: 0).limit == .seconds(35))
        #expect(!route(.post).bound(settings, waiting: 0).cancelsWork)
    }

    // MARK: Memory

    @Test("large bodies leave memory for small ones, and released memory can be reserved again")
    func budget() throws {
        let budget = BodyBudget(bytesMax: 1 << 20)
        do {
            let large = try #require(budget.reserve(700_000))
            #expect(budget.reserve(100_000) == nil)
            #expect(!large.grow(to: 900_000))
            #expect(large.grow(to: 750_000))
            let small = try #require(budget.reserve(BodyBudget.smallBytesMax))
            #expect(budget.used == 750_000 + BodyBudget.smallBytesMax)
            withExtendedLifetime((large, small)) {}
        }
        #expect(budget.used == 0)
    }

    @Test("of 32 concurrent large bodies, those beyond the memory budget are refused with 503")
    func manyLargeBodies() async throws {
        try await withServer({
            $0.bodyBytesMax = 2 << 20
            $0.bodiesBytesMax = 8 << 20
        }) { client, _ in
            let job = try await client.createJob()
            let event = #"{"type":"progress","task":"t"}"#
            let body = Array((event + String(repeating: " ", count: (2 << 20) - event.utf8.count)).utf8)
            let responses = try await withThrowingTaskGroup(of: RawResponse.self) { group in
                for _ in 0..<32 {
                    group.addTask {
                        try await client.request(
                            "POST", "/v1/jobs/\(job)/events", headers: ["Content-Type": "application/json"], body: body)
                    }
                }
                var responses: [RawResponse] = []
                for try await response in group { responses.append(response) }
                return responses
            }
            let acceptedCount = responses.count { $0.status == 201 }
            #expect(acceptedCount >= 1)
            #expect(responses.allSatisfy { $0.status == 201 || ($0.status == 503 && $0.headers["retry-after"] != nil) })
            let snapshot = try await client.get("/v1/jobs/\(job)")
            #expect(try snapshot.json["ledger_sequence"] == .integer(Int128(1 + acceptedCount)))
            // Afterwards there is enough memory for further requests.
            for _ in 0..<3 { #expect(try await client.post("/v1/jobs/\(job)/events", event).status == 201) }
        }
    }

    @Test("the buffer of pipelined requests is limited, including their heads")
    func pipelinedInput() {
        var bodies = PipelinedInput()
        for _ in 0..<3 { bodies.buffer(.part(.body(ByteBuffer(repeating: 0, count: 1_024)))) }
        #expect(!bodies.isFull)
        bodies.buffer(.part(.body(ByteBuffer(repeating: 0, count: 1_024))))
        #expect(bodies.isFull)
        var heads = PipelinedInput()
        var head = HTTPRequestHead(version: .http1_1, method: .GET, uri: "/healthz")
        heads.buffer(.part(.head(head)))
        #expect(!heads.isFull)
        head.headers.add(name: "cookie", value: String(repeating: "c", count: 4_096))
        heads.buffer(.part(.head(head)))
        #expect(heads.isFull)
    }

    @Test("a small append takes the fast path with every spelling of its media type")
    func fastAppends() {
        let route = Route(
            access: .open, method: .post, path: "/v1/jobs/{job}/events", operation: "test", summary: "",
            body: Route.Body(schema: "EventsRequest", takesLines: true), responses: [],
            fastPath: FastPath(bodyBytesMax: 100) { _, _, _ in }
        ) { _ in LedgerResponse(status: .ok) }
        let table = FastPathMatcher([route], ServerSettings())
        func match(
            _ type: String?, length: Int = 10, _ others: KeyValuePairs<String, String> = [:]
        ) -> FastPathMatcher.Match? {
            var head = HTTPRequestHead(
                version: .http1_1, method: .POST, uri: "/v1/jobs/01900000-0000-7000-8000-000000000000/events")
            if let type { head.headers.add(name: "Content-Type", value: type) }
            head.headers.add(name: "Content-Length", value: "\(length)")
            for (name, value) in others { head.headers.add(name: name, value: value) }
            return table.match(head)
        }
        for type in [
            "application/json", "application/json; charset=utf-8", "application/json;charset=UTF-8", "Application/JSON",
            "application/json ; charset=\"utf-8\"",
        ] { #expect(match(type)?.request.format == .json, "\(type)") }
        #expect(match("application/x-ndjson")?.request.format == .lines)
        for type in ["text/plain", "application/jsonx", "", "json"] { #expect(match(type) == nil, "\(type)") }
        #expect(match(nil) == nil)
        #expect(match("application/json", length: 100) != nil)
        #expect(match("application/json", length: 101) == nil)
        for (name, value) in [
            ("EXPECT", "100-continue"), ("upgrade", "h2c"), ("Content-Encoding", "gzip"),
            ("Transfer-Encoding", "chunked"),
            ("Connection", "close"), ("content-type", "application/json"),
        ] { #expect(match("application/json", [name: value]) == nil, "\(name)") }
        #expect(match("application/json", ["Authorization": "a", "authorization": "b"]) == nil)
        let match = match(
            "application/json", ["AUTHORIZATION": "Bearer x", "connection": "Keep-Alive", "X-Other": "close"])
        #expect(match?.request.authorization == "Bearer x")
    }
}
