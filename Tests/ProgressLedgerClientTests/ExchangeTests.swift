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

@Suite("Exchanges", .timeLimit(.minutes(30)))
struct ExchangeTests {
    @Test("one connection carries request after request")
    func connectionsAreKept() async throws {
        try await ScriptedServer.with(.answer(200), .answer(200), .answer(200)) { server in
            let client = try client(server)
            for _ in 1...3 { try await client.checkHealth() }
            #expect(server.connectionCount == 1)
            #expect(server.requests.map(\.line) == ["GET /healthz", "GET /healthz", "GET /healthz"])
            #expect(server.requests[0].headers["host"] == ["127.0.0.1:\(server.port)"])
        }
    }

    @Test("a connection sends small requests at once, and sets no option that needs privileges")
    func connectionsHaveHarmlessOptions() async throws {
        try await ScriptedServer.with { server in
            let connection = try await HTTPConnection.connect(
                to: ServerAddress(server.url), on: .singleton, deadline: .now + .seconds(60))
            defer { connection.close() }
            #expect(try await connection.channel.getOption(.tcpOption(.tcp_nodelay)).get() != 0)
            // The number 1 is TCP_NODELAY at the level of TCP, and SO_DEBUG, for root alone, at that of sockets.
            #expect(try await connection.channel.getOption(.socketOption(.init(rawValue: 1))).get() == 0)
        }
    }

    @Test("a connection that the server closes after an answer is not used again")
    func closedConnectionsAreReplaced() async throws {
        try await ScriptedServer.with(.answer(200, headers: [("connection", "close")]), .answer(200)) { server in
            let client = try client(server)
            try await client.checkHealth()
            try await client.checkHealth()
            #expect(server.connectionCount == 2)
        }
    }

    @Test("no more connections than allowed are opened, and the other requests wait")
    func connectionsAreBounded() async throws {
        let script = [ScriptedServer.Reaction](repeating: .answer(200), count: 40)
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
        try await ScriptedServer.with(.answer(200)) { server in
            try await LedgerClient(url: server.url + "/ledger/").checkHealth()
            #expect(server.requests[0].line == "GET /ledger/healthz")
        }
    }

    @Test("a server that takes no more is asked again after the time that it names, and what is sent is the same")
    func refusalsAreRepeated() async throws {
        let busy = ScriptedServer.Reaction.answer(
            503, #"{"title":"Busy","status":503,"detail":"full"}"#, headers: [("retry-after", "0")])
        try await ScriptedServer.with(busy, busy, .answer(201, appended)) { server in
            let answer = try await client(server).append([unsafeToRepeat], to: job)
            #expect(answer.sequences == 2...2)
            #expect(server.requests.count == 3)
            #expect(Set(server.requests.map(\.body)).count == 1)
        }
    }

    @Test("a lost answer is asked for again where twice is the same as once")
    func safeRequestsAreRepeated() async throws {
        try await ScriptedServer.with(.drop, .answer(201, appended)) { server in
            let answer = try await client(server).append([safe], to: job)
            #expect(answer.sequences == 2...2)
            #expect(server.requests.count == 2)
        }
    }

    @Test("a lost answer to anything else is an unknown outcome, and is not sent again")
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
        "a write that the ledger calls unknown, or a proxy refuses, is repeated only where that is safe",
        arguments: [
            (#"{"title":"Outcome unknown","status":503,"detail":"late"}"#, LedgerClientError.Code.outcomeUnknown),
            ("upstream connect error or disconnect/reset before headers", .unexpectedAnswer),
        ])
    func unknownOutcomesAreRepeatedWhereSafe(body: String, code: LedgerClientError.Code) async throws {
        let unknown = ScriptedServer.Reaction.answer(503, body, headers: [("retry-after", "0")])
        try await ScriptedServer.with(unknown, .answer(201, appended)) { server in
            let error = await #expect(throws: LedgerClientError.self) {
                try await client(server).append([unsafeToRepeat], to: job)
            }
            #expect(error?.code == code)
            #expect(error?.isRetrySafe == false)
            #expect(server.requests.count == 1)
        }
        try await ScriptedServer.with(unknown, .answer(201, appended)) { server in
            let answer = try await client(server).append([safe], to: job)
            #expect(answer.sequences == 2...2)
            #expect(server.requests.count == 2)
        }
    }

    @Test("a silent server ends in an unknown outcome for a write, and the connection is not used again")
    func silenceEnds() async throws {
        try await ScriptedServer.with(.silence, .answer(200)) { server in
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

    @Test("where nothing listens, nothing was sent, and the message says what to look at")
    func unreachableServersAreNamed() async throws {
        // The port of a service that is long gone (tcpmux), and too low for a test beside this one to get.
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
            await server.waitForRequests(1)
            let error = await #expect(throws: LedgerClientError.self) { try await client.job(job) }
            #expect(error?.code == .unavailable)
            first.cancel()
            let cancelled = await #expect(throws: LedgerClientError.self) { try await first.value }
            #expect(cancelled?.code == .cancelled)
        }
    }

    @Test("an answer larger than allowed is refused, not held")
    func answersAreBounded() async throws {
        try await ScriptedServer.with(.stream([String(repeating: "x", count: 2_000)])) { server in
            let client = try client(server) { $0.answerBytesMax = 1_000 }
            let error = await #expect(throws: LedgerClientError.self) { try await client.job(job) }
            #expect(error?.code == .tooLarge)
        }
    }

    @Test("an answer that is no ledger's is named as such")
    func strangersAreNamed() async throws {
        try await ScriptedServer.with(
            .answer(404, "<html>not here</html>", headers: [("content-type", "text/html")]), .answer(200, "[]")
        ) { server in
            for _ in 1...2 {
                let client = try client(server)
                let error = await #expect(throws: LedgerClientError.self) { try await client.job(job) }
                #expect(error?.code == .unexpectedAnswer)
                #expect(error?.remedy?.contains("Is it a progress ledger") == true)
            }
        }
    }
}

extension LedgerClient.Settings {
    /// No second try.
    static var once: LedgerClient.Settings {
        var settings = LedgerClient.Settings()
        settings.patience = .zero
        return settings
    }
}
