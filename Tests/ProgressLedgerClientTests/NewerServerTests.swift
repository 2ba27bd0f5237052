import Ledger
import ProgressLedgerClient
import Testing

/// Responses of a server that is newer than the client.
///
/// It may add fields and values at any time. The client must not misread the ones that it has names for.
@Suite("A newer server", .timeLimit(.minutes(10)))
struct NewerServerTests {
    private static let id = "0190b5a1-7c1e-7a3b-9d2f-4c5e6f708192"

    private static func job(state: String) -> String {
        """
        {"job":"\(id)","key":null,"name":"n","tags":{},"state":"\(state)","sequence":3,"ledger_sequence":3,\
        "created_at":"2026-01-01T00:00:00.000001Z","started_at":null,"updated_at":null,"finished_at":null,\
        "tasks":{"total":2,"running":1,"succeeded":0,"failed":0,"canceled":0,"executions":1,\
        "superseded_executions":0,"hibernating":1},"progress":[{"label":"a","done":3,"total":10,"percent":30,\
        "attempted_done":4,"attempted_total":10,"updated_at":"2026-01-01T00:00:00.000002Z","rate":1.5}],\
        "something_new":{"a":[1]}}
        """
    }

    private func call<Value>(
        _ status: Int, _ body: String, _ call: (LedgerClient, JobID) async throws -> Value
    ) async throws -> Value {
        var value: Value?
        let job = try #require(JobID(Self.id))
        try await ScriptedServer.with(.respond(status, body)) { server in
            value = try await call(LedgerClient(url: server.url, settings: .once), job)
        }
        return try #require(value)
    }

    @Test("unknown fields are ignored")
    func fields() async throws {
        let found = try await call(200, Self.job(state: "running")) { try await $0.job($1) }
        #expect(found.snapshot.state == .running && found.snapshot.tasks.running == 1)
        #expect(found.snapshot.indicators.map(\.counted) == [Units(total: 10, done: 3)])
    }

    @Test("an unknown state is refused by its name, and not taken for a known one")
    func states() async throws {
        let error = await #expect(throws: LedgerClientError.self) {
            _ = try await call(200, Self.job(state: "hibernating")) { try await $0.job($1) }
        }
        #expect(error?.code == .unexpectedResponse)
        #expect(error?.description.contains("state") == true)
    }

    @Test("an append with an unknown verdict has succeeded, and has no verdicts")
    func verdictsOfAppends() async throws {
        let body = #"{"first_sequence":2,"last_sequence":3,"verdicts":["counted","quarantined"],"receipt":"r"}"#
        let reports = [1, 2].map {
            EventDraft(.progress(ProgressReport(reference: ExecutionReference(task: "t"), report: $0, done: 1)))
        }
        let appended = try await call(201, body) { try await $0.append(reports, to: $1, awaitsVerdicts: true) }
        #expect(appended.sequences == 2...3 && appended.verdicts == nil)
    }

    @Test("an event with an unknown verdict has none, and its unknown fields are ignored")
    func verdictsOfEvents() async throws {
        let body = """
            {"events":[{"sequence":2,"type":"progress","task":"t","done":1,"weight":2,\
            "recorded_at":"2026-01-01T00:00:00.000001Z","verdict":"quarantined",\
            "hash":"\(String(repeating: "0f", count: 32))"}],"next_after":null,"hint":"h"}
            """
        let page = try await call(200, body) { try await $0.events(of: $1) }
        #expect(page.events.map(\.event.sequence) == [2] && page.events.map(\.verdict) == [nil])
    }
}
