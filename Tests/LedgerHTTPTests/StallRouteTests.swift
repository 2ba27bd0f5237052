import Ledger
import LedgerStore
import LedgerTestSupport
import LedgerWire
import Testing

@testable import LedgerHTTP

@Suite("Stalls and silence over HTTP")
struct StallRouteTests {
    private static let start = #"{"type":"execution_started","task":"t","execution":"e"}"#

    /// Creates a job with a lease of a second and an execution that declares units.
    private static func leased(_ client: RawClient) async throws -> JobID {
        let created = try await client.post("/v1/jobs", #"{"name":"n","tags":{"ledger.lease":"1"}}"#)
        let job = try JobView(created.json).id
        let total = #"{"type":"progress","task":"t","execution":"e","total":100}"#
        #expect(try await client.post("/v1/jobs/\(job)/events?wait=folded", "[\(start),\(total)]").status == 201)
        return job
    }

    private static func text(_ client: RawClient, _ path: String) async throws -> String {
        String(decoding: try await client.get(path).body, as: UTF8.self)
    }

    @Test("an execution that starts, declares units and sends nothing more is silent")
    func silence() async throws {
        try await withServer { client, _ in
            let job = try await Self.leased(client)
            // At the time of the last event.
            let fresh = try await client.get("/v1/jobs/\(job)/progress?at_sequence=3").json
            #expect(fresh["stalled_since"] == .null)
            #expect(try JobView(fresh).stalls == JobStalls.none)
            let listed = "/v1/jobs/\(job)/tasks?silent=true"
            #expect(try await client.get("\(listed)&at_sequence=3").json["tasks"]?.elements?.isEmpty == true)
            try await eventually(equals: Int64?(1)) {
                try JobView(try await client.get("/v1/jobs/\(job)").json).stalls?.silentCount
            }
            let task = try #require(try await client.get(listed).json["tasks"]?.elements?.first)
            let execution = try #require(try TaskSummary(task).executions.first)
            #expect(execution.silentSince == execution.lastAt)
            // A repeated start ends the silence.
            #expect(try await client.post("/v1/jobs/\(job)/events?wait=folded", Self.start).status == 201)
            #expect(try await client.get("\(listed)&at_sequence=4").json["tasks"]?.elements?.isEmpty == true)
        }
    }

    @Test("a silence changes the entity tag although no event arrives")
    func entityTag() async throws {
        try await withServer { client, _ in
            let job = try await Self.leased(client)
            let target = "/v1/jobs/\(job)/progress"
            var tag = ""
            // A slow machine may take longer than the lease.
            try await eventually {
                _ = try await client.post("/v1/jobs/\(job)/events?wait=folded", Self.start)
                let response = try await client.get(target)
                tag = response.headers["etag"] ?? ""
                return try JobView(response.json).stalls?.silentCount == 0
            }
            try await eventually {
                try await client.get(target, headers: ["if-none-match": tag]).status == 200
            }
            let later = try #require(try await client.get(target).headers["etag"])
            #expect(later != tag)
            #expect(try await client.get(target, headers: ["if-none-match": later]).status == 304)
        }
    }

    @Test(
        "a new job with an invalid value of a reserved tag is refused",
        arguments: [
            ("lease", "0"), ("lease", "x"), ("lease", "31536001"), ("lease", "1.5"), ("deadline", "2026-12-01"),
            ("deadline", "tomorrow"),
        ])
    func invalidReservedTag(tag: String, value: String) async throws {
        try await withServer { client, ledger in
            let body = #"{"name":"n","key":"k","tags":{"ledger.\#(tag)":"\#(value)"}}"#
            let refused = try await client.post("/v1/jobs", body)
            #expect(refused.status == 422)
            #expect(try refused.pointers == ["/tags/ledger.\(tag)"])
            // A job from before the tag was reserved exists: the request is repeated.
            let description = JobDescription(name: "n", key: "k", tags: [Name("ledger.\(tag)"): Name(value)])
            #expect(EventDraft(.jobCreated(description)).fieldErrors().isEmpty)
            _ = try await ledger.createJob(description)
            #expect(try await client.post("/v1/jobs", body).status == 200)
            #expect(try await client.get("/v1/jobs/\(JobID(high: 1, low: 1))/tasks?silent=x").status == 422)
        }
    }

    @Test("the page of a job names its silent executions, and the list counts them")
    func pages() async throws {
        try await withServer { client, _ in
            let job = try await Self.leased(client)
            #expect(
                try await Self.text(client, "/jobs/\(job)?at_sequence=3").contains(
                    "<section id=\"stalls\" hidden></section>"))
            try await eventually {
                try await Self.text(client, "/jobs/\(job)").contains("<strong>1 execution is silent</strong>")
            }
            let page = try await Self.text(client, "/jobs/\(job)")
            #expect(page.contains("last event at") && page.contains("data-words=\"silent\""))
            let part = try await Self.text(client, "/jobs/\(job)?part=stalls")
            #expect(part.contains("id=\"stalls\"") && part.contains("silent=true&amp;order=quietest#tasks"))
            #expect(try await Self.text(client, "/").contains("<small class=\"silent\">1 silent</small>"))
            let filtered = try await Self.text(client, "/jobs/\(job)?silent=true")
            #expect(filtered.contains("name=\"silent\" value=\"true\" checked"))
        }
    }

    @Test("a stall that begins without an event supersedes the snapshot in a stream")
    func stream() {
        func snapshot(_ stalls: JobStalls) -> EncodedSnapshot {
            let moment = Timestamp(microseconds: 0)
            let view = JobView(
                id: JobID(high: 1, low: 1), description: JobDescription(name: "n"), createdAt: moment,
                ledgerSequence: 2,
                snapshot: Snapshot(
                    sequence: 2, state: .running, createdAt: moment, startedAt: nil, updatedAt: nil, finishedAt: nil,
                    tasks: TaskCounts(), indicators: []), stalls: stalls)
            return EncodedSnapshot(view, readSince: .now)
        }
        let before = snapshot(.none)
        #expect(!snapshot(.none).supersedes(before))
        let stalled = snapshot(JobStalls(since: Timestamp(microseconds: 1)))
        #expect(stalled.supersedes(before))
        // A read that began earlier shows an earlier state.
        #expect(!before.supersedes(stalled))
    }
}
