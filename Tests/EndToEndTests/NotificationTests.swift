import Foundation
import Ledger
import LedgerTestSupport
import LedgerWire
import PQ
import ProgressLedgerClient
import Testing

/// Tests that kill servers while notifications wait or are being sent.
@Suite("Notifications of killed servers", .serialized, .timeLimit(.minutes(10)))
struct NotificationTests {
    private static func serve(_ target: ConnectionTarget, _ arguments: [String] = []) async throws -> (
        server: ServerProcess, client: LedgerClient
    ) {
        let server = try ServerProcess(
            ["serve", "--port", "0", "--database", target.description, "--notify-allow", "localhost"] + arguments)
        return (server, LedgerClient(address: try ServerAddress(try await server.url())))
    }

    private static func kill(_ server: ServerProcess) async throws {
        server.send(SIGKILL)
        try await server.wait()
    }

    private static func subscribe(_ client: LedgerClient, _ receiver: WebhookReceiver) async throws {
        _ = try await client.sendForJSON(
            .createSubscription(
                SubscriptionRequest(name: "s", url: receiver.url(), kinds: [.started, .finished])),
            as: ShownSubscription.self)
    }

    private static func run(_ client: LedgerClient, jobs: Int) async throws -> [JobID] {
        var ids: [JobID] = []
        for _ in 0..<jobs {
            let job = try await client.createJob(JobDescription(name: "n")).id
            let start = EventDraft(.executionStarted(ExecutionReference(task: "t", attempt: 1)))
            _ = try await client.append([start, EventDraft(.jobFinished(.completed))], to: job)
            ids.append(job)
        }
        return ids
    }

    /// The ids of all messages, by job and kind.
    private static func ids(_ receiver: WebhookReceiver) throws -> [String: Set<String>] {
        var ids: [String: Set<String>] = [:]
        for request in receiver.requests {
            let json = try JSONReader.read(request.body)
            let key = "\(json["job"]?["job"]?.text ?? "") \(json["type"]?.text ?? "")"
            ids[key, default: []].insert(request.headers["webhook-id"] ?? "")
        }
        return ids
    }

    @Test("a server killed before it delivers loses nothing, and sends nothing under another id")
    func killedBeforeDelivery() async throws {
        let receiver = try WebhookReceiver(.hang)
        defer { receiver.close() }
        try await withLedgerDatabase { target in
            let (server, client) = try await Self.serve(target)
            try await Self.subscribe(client, receiver)
            let jobs = try await Self.run(client, jobs: 10)
            for job in jobs { try await eventually(equals: 3) { try await client.job(job).snapshot.sequence } }
            // Some attempts have begun and have no response; the others wait.
            try await eventually { !receiver.requests.isEmpty }
            try await Self.kill(server)
            client.close()
            receiver.behave(.respond(200))
            // The leases of a dead process end after 90 s.
            let owner = Pool(target: target, logger: TestCluster.logger)
            _ = try await owner.query(Query("update ledger.delivery set next_at = now()"))
            let (next, second) = try await Self.serve(target)
            try await eventually { try Self.ids(receiver).count == 20 }
            try await eventually(equals: 20) {
                try await owner.query(Query("select count(*) from ledger.delivery where state = 'delivered'"))[0]
                    .decode(0, as: Int64.self)
            }
            #expect(try Self.ids(receiver).values.allSatisfy { $0.count == 1 })
            await owner.close()
            second.close()
            try await Self.kill(next)
        }
    }

    @Test("servers and workers that are killed again and again deliver everything, each under one id")
    func killedAgainAndAgain() async throws {
        let receiver = try WebhookReceiver()
        defer { receiver.close() }
        try await withLedgerDatabase { target in
            let (server, client) = try await Self.serve(target, ["--no-projection"])
            try await Self.subscribe(client, receiver)
            func work() throws -> ServerProcess {
                try ServerProcess(["project", "--database", target.description, "--notify-allow", "localhost"])
            }
            var workers = [try work(), try work()]
            var jobs: [JobID] = []
            for round in 0..<6 {
                jobs += try await Self.run(client, jobs: 10)
                try await Self.kill(workers[round % 2])
                workers[round % 2] = try work()
            }
            let owner = Pool(target: target, logger: TestCluster.logger)
            try await eventually {
                _ = try await owner.query(
                    Query("update ledger.delivery set next_at = least(next_at, now() + interval '5 seconds')"))
                return try Self.ids(receiver).count == 120
            }
            #expect(try Self.ids(receiver).values.allSatisfy { $0.count == 1 })
            await owner.close()
            client.close()
            for process in workers + [server] { try await Self.kill(process) }
        }
    }
}
