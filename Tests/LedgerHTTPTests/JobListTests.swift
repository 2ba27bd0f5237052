import Ledger
import LedgerHTTP
import LedgerTestSupport
import LedgerWire
import Testing

@Suite("Lists of jobs")
struct JobListTests {
    /// Creates a running, a completed and a failed job, and one of a replay.
    private func create(_ client: RawClient) async throws -> [String] {
        var jobs: [String] = []
        for outcome in [nil, "completed", "failed"] as [String?] {
            let job = try await client.createJob("list \(outcome ?? "running")")
            if let outcome {
                _ = try await client.post(
                    "/v1/jobs/\(job)/events?wait=folded", #"{"type":"job_finished","outcome":"\#(outcome)"}"#)
            }
            jobs.append(job)
        }
        let replay = #"{"name":"replay","tags":{"policy":"last","job":"all"}}"#
        let created = try await client.post("/v1/jobs", replay)
        return jobs + [try #require(created.json["job"]?.text)]
    }

    private func jobs(_ client: RawClient, _ query: String) async throws -> [String] {
        (try await client.get("/v1/jobs\(query)").json["jobs"]?.elements ?? []).compactMap { $0["job"]?.text }
    }

    @Test("a list has several states, either order, a period, and no replays if so asked")
    func selects() async throws {
        try await withServer { client, _ in
            let all = try await create(client)
            #expect(try await jobs(client, "?state=running&state=failed&replays=false") == [all[2], all[0]])
            #expect(try await jobs(client, "?state=running&state=running") == [all[3], all[0]])
            #expect(try await jobs(client, "?order=asc") == all)
            #expect(try await jobs(client, "?order=asc&replays=false&limit=2&cursor=\(all[0])") == [all[1], all[2]])
            #expect(try await jobs(client, "?replays=true") == all.reversed())
            #expect(try await jobs(client, "?created_from=2000-01-01T00:00:00Z") == all.reversed())
            #expect(try await jobs(client, "?created_before=2000-01-01T00:00:00Z").isEmpty)
            let page = try await client.get("/v1/jobs?order=asc&limit=3").json
            #expect(page["next_cursor"]?.text == all[2])
        }
    }

    @Test("counts by state are returned on request, whatever the page")
    func counts() async throws {
        try await withServer { client, _ in
            _ = try await create(client)
            #expect(try await client.get("/v1/jobs").json["counts"] == nil)
            let counts = try await client.get("/v1/jobs?counts=true&limit=1").json["counts"]
            #expect(counts?["running"]?.integer == 2 && counts?["completed"]?.integer == 1)
            #expect(counts?["failed"]?.integer == 1 && counts?["canceled"]?.integer == 0)
            #expect(counts?["incomplete"]?.elements == [])
            let some = try await client.get("/v1/jobs?counts=true&search=list&state=failed&replays=false").json[
                "counts"]
            #expect(some?["running"]?.integer == 0 && some?["failed"]?.integer == 1)
        }
    }

    @Test("a stream follows the jobs of several states")
    func watches() async throws {
        try await withServer { client, _ in
            let all = try await create(client)
            let finish = { (outcome: String) in
                _ = try await client.post(
                    "/v1/jobs/\(all[0])/events?wait=folded", #"{"type":"job_finished","outcome":"\#(outcome)"}"#)
            }
            try await EventSource.open(client, "/v1/watch?state=running&state=failed&replays=false") { source in
                let list = try await source.next()
                #expect(try list?.json["jobs"]?.elements?.compactMap(\.text) == [all[2], all[0]])
                // It stays in the list in another of the states, and leaves the list in any other state.
                try await finish("failed")
                try await finish("completed")
                var states: [String] = []
                while let event = try await source.next() {
                    if event.name == "list" {
                        #expect(try event.json["jobs"]?.elements?.compactMap(\.text) == [all[2]])
                        break
                    }
                    if try event.json["job"]?.text == all[0] { states.append(try event.json["state"]?.text ?? "") }
                }
                #expect(states.first == "running")
            }
        }
    }

    @Test(
        "invalid choices, orders and times name their parameter",
        arguments: [
            ("state=running&state=done", "state"), ("order=up", "order"), ("counts=1", "counts"),
            ("replays=no", "replays"), ("created_from=yesterday", "created_from"),
            ("created_before=2026-11-30", "created_before"), ("order=asc&order=asc", "order"),
        ])
    func refuses(_ query: String, _ parameter: String) async throws {
        try await withServer { client, _ in
            let response = try await client.get("/v1/jobs?\(query)")
            #expect(response.status == 422)
            #expect(try response.pointers == [parameter])
        }
    }
}
