import Ledger
import NIOCore
import NIOHTTP1
import NIOPosix
import Testing

@testable import ProgressLedgerClient

private let job = JobID("0190b5a1-7c1e-7a3b-9d2f-4c5e6f708192")!
private let appended = #"{"first_sequence":2,"last_sequence":2}"#
private let safe = EventDraft(
    .progress(ProgressReport(reference: ExecutionReference(task: "t", attempt: 1), report: 1, done: 1)))
private let unsafeToRepeat = EventDraft(.progress(ProgressReport(reference: ExecutionReference(task: "t"), done: 1)))

private func client(
    _ server: ScriptedServer, _ adjust: (inout LedgerClient.Settings) -> Void = { _ in }
) throws -> LedgerClient {
    var settings = LedgerClient.Settings()
    adjust(&settings)
    return try LedgerClient(url: server.url, settings: settings)
}

@Suite("Exchanges", .timeLimit(.minutes(10)))
struct ExchangeTests {
    @Test("one connection carries request after request")
    func connectionsAreKept() async throws {
        try await ScriptedServer.with(.respond(200), .respond(200), .respond(200)) { server in
            let client = try client(server)
            for _ in 1...3 { try await client.checkHealth() }
            #expect(server.connectionCount == 1)
            #expect(server.requests.map(\.line) == ["GET /healthz", "GET /healthz", "GET /healthz"])
            #expect(server.requests[0].headers["host"] == ["127.0.0.1:\(server.port)"])
        }
    }

    @Test("a connection sends small requests at once and sets no privileged option")
    func connectionsHaveHarmlessOptions() async throws {
        try await ScriptedServer.with { server in
            let connection = try await HTTPConnection.connect(
                to: ServerAddress(server.url), nil, on: .singleton, deadline: .now + .seconds(60))
            defer { connection.close() }
            #expect(try await connection.channel.getOption(.tcpOption(.tcp_nodelay)).get() != 0)
            // The number 1 is TCP_NODELAY at the TCP level, and SO_DEBUG, which needs root, at the socket level.
            #expect(try await connection.channel.getOption(.socketOption(.init(rawValue: 1))).get() == 0)
        }
    }

    @Test("a connection that the server closes after a response is not reused")
    func closedConnectionsAreReplaced() async throws {
        try await ScriptedServer.with(.respond(200, headers: [("connection", "close")]), .respond(200)) { server in
            let client = try client(server)
            try await client.checkHealth()
            try await client.checkHealth()
            #expect(server.connectionCount == 2)
        }
    }

    @Test("at most the allowed number of connections is opened, and other requests wait")
    func connectionsAreBounded() async throws {
        let script = [ScriptedServer.Reaction](repeating: .respond(200), count: 40)
        try await ScriptedServer.run(script) { server in
            let client = try client(server) { $0.connectionsMax = 3 }
            try await withThrowingTaskGroup { group in
                for _ in 1...40 { group.addTask { try await client.checkHealth() } }
                try await group.waitForAll()
            }
            #expect(server.connectionCount <= 3)
            #expect(server.requests.count == 40)
        }
    }

    @Test("a path prefix precedes every route")
    func prefixesAreKept() async throws {
        try await ScriptedServer.with(.respond(200)) { server in
            try await LedgerClient(url: server.url + "/ledger/").checkHealth()
            #expect(server.requests[0].line == "GET /ledger/healthz")
        }
    }

    @Test("a request that the server refuses for now is repeated unchanged after Retry-After")
    func refusalsAreRepeated() async throws {
        let busy = ScriptedServer.Reaction.respond(
            503, #"{"title":"Busy","status":503,"detail":"full"}"#, headers: [("retry-after", "0")])
        try await ScriptedServer.with(busy, busy, .respond(201, appended)) { server in
            let result = try await client(server).append([unsafeToRepeat], to: job)
            #expect(result.sequences == 2...2)
            #expect(server.requests.count == 3)
            #expect(Set(server.requests.map(\.body)).count == 1)
        }
    }

    @Test("a request with a lost response is repeated if repeating is safe")
    func safeRequestsAreRepeated() async throws {
        try await ScriptedServer.with(.drop, .respond(201, appended)) { server in
            let result = try await client(server).append([safe], to: job)
            #expect(result.sequences == 2...2)
            #expect(server.requests.count == 2)
        }
    }

    @Test("an unsafe request with a lost response is an unknown outcome and is not repeated")
    func unsafeRequestsAreNotRepeated() async throws {
        try await ScriptedServer.with(.drop) { server in
            let error = await #expect(throws: LedgerClientError.self) {
                try await client(server).append([unsafeToRepeat], to: job)
            }
            #expect(error?.code == .outcomeUnknown)
            #expect(error?.isRetrySafe == false)
            #expect(server.requests.count == 1)
        }
    }

    @Test(
        "a write with an unknown outcome or refused by a proxy is repeated only if that is safe",
        arguments: [
            (#"{"title":"Outcome unknown","status":503,"detail":"late"}"#, LedgerClientError.Code.outcomeUnknown),
            ("upstream connect error or disconnect/reset before headers", .unexpectedResponse),
        ])
    func unknownOutcomesAreRepeatedIfSafe(body: String, code: LedgerClientError.Code) async throws {
        let unknown = ScriptedServer.Reaction.respond(503, body, headers: [("retry-after", "0")])
        try await ScriptedServer.with(unknown, .respond(201, appended)) { server in
            let error = await #expect(throws: LedgerClientError.self) {
                try await client(server).append([unsafeToRepeat], to: job)
            }
            #expect(error?.code == code)
            #expect(error?.isRetrySafe == false)
            #expect(server.requests.count == 1)
        }
        try await ScriptedServer.with(unknown, .respond(201, appended)) { server in
            let result = try await client(server).append([safe], to: job)
            #expect(result.sequences == 2...2)
            #expect(server.requests.count == 2)
        }
    }

    @Test("a write to a silent server has an unknown outcome, and its connection is not reused")
    func silenceEnds() async throws {
        try await ScriptedServer.with(.silence, .respond(200)) { server in
            let client = try client(server) {
                $0.deadline = .seconds(4)
                $0.patience = .zero
            }
            let error = await #expect(throws: LedgerClientError.self) { try await client.append([safe], to: job) }
            #expect(error?.code == .outcomeUnknown)
            try await client.checkHealth()
            #expect(server.connectionCount == 2)
        }
    }

    @Test("if no server listens, nothing was sent, and the message contains the URL")
    func unreachableServersAreNamed() async throws {
        // Port 1 (tcpmux) is obsolete, and too low for the system to assign to another test.
        let url = "http://127.0.0.1:1"
        let client = try LedgerClient(url: url, settings: LedgerClient.Settings.once)
        let error = await #expect(throws: LedgerClientError.self) { try await client.append([safe], to: job) }
        #expect(error?.code == .unreachable)
        #expect(error?.isRetrySafe == true)
        #expect(error?.description.contains(url) == true)
    }

    @Test("too many waiting requests are refused at once")
    func waitersAreBounded() async throws {
        try await ScriptedServer.with(.silence) { server in
            let client = try client(server) {
                $0.connectionsMax = 1
                $0.waitersMax = 0
                $0.patience = .zero
            }
            let first = Task { try await client.checkHealth() }
            try await server.waitForRequests(1)
            let error = await #expect(throws: LedgerClientError.self) { try await client.job(job) }
            #expect(error?.code == .unavailable)
            first.cancel()
            let cancelled = await #expect(throws: LedgerClientError.self) { try await first.value }
            #expect(cancelled?.code == .cancelled)
        }
    }

    @Test("a response larger than the limit is refused and not held in memory")
    func responsesAreBounded() async throws {
        try await ScriptedServer.with(.stream([String(repeating: "x", count: 2_000)])) { server in
            let client = try client(server) { $0.responseBytesMax = 1_000 }
            let error = await #expect(throws: LedgerClientError.self) { try await client.job(job) }
            #expect(error?.code == .tooLarge)
        }
    }

    @Test("a response that is not from a ledger is reported as such")
    func foreignResponsesAreReported() async throws {
        try await ScriptedServer.with(
            .respond(404, "<html>not here</html>", headers: [("content-type", "text/html")]), .respond(200, "[]")
        ) { server in
            for _ in 1...2 {
                let client = try client(server)
                let error = await #expect(throws: LedgerClientError.self) { try await client.job(job) }
                #expect(error?.code == .unexpectedResponse)
                #expect(error?.remedy?.contains("Check that a progress ledger") == true)
            }
        }
    }
}

extension LedgerClient.Settings {
    /// Settings without a second try.
    static var once: LedgerClient.Settings {
        var settings = LedgerClient.Settings()
        settings.patience = .zero
        return settings
    }
}
