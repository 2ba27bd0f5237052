import HTTPTypes
import Ledger
import LedgerStore
import LedgerTestSupport
import LedgerWire
import Testing

@testable import LedgerHTTP

@Suite("Estimates over HTTP")
struct EstimateRouteTests {
    @Test("a job object has an estimate or the reason for none")
    func jobObject() async throws {
        try await withServer { client, ledger in
            let job = try await client.createJob("n")
            let none = try await client.get("/v1/jobs/\(job)").json["estimate"]
            #expect(none?["reason"]?.text == "no_progress" && none?["remaining_seconds"] == .null)
            let body =
                #"[{"type":"progress","task":"t","execution":"e","total":10},{"type":"progress","task":"t","execution":"e","done":2}]"#
            #expect(try await client.post("/v1/jobs/\(job)/events?wait=folded", body).status == 201)
            let shown = try JobView(try await client.get("/v1/jobs/\(job)/progress").json)
            let estimate = try #require(shown.estimate)
            let remaining = try #require(estimate.estimate.remaining)
            #expect(remaining.p10 <= remaining.p50 && remaining.p50 <= remaining.p90)
            #expect(estimate.estimate.reason == nil && estimate.estimate.basis == .job)
            #expect(estimate.waitingTasks == ["t"])
            let past = try await client.get("/v1/jobs/\(job)/progress?at_sequence=1").json["estimate"]
            #expect(past?["reason"]?.text == "no_progress")
            let finish = try await client.post(
                "/v1/jobs/\(job)/events?wait=folded", #"{"type":"job_finished","outcome":"completed"}"#)
            #expect(finish.status == 201)
            #expect(try await client.get("/v1/jobs/\(job)").json["estimate"]?["reason"]?.text == "finished")
        }
    }

    @Test("the list of jobs marks those that will probably miss their deadline")
    func late() async throws {
        try await withServer { client, _ in
            for (name, deadline, isLate) in [
                ("over", "2020-01-01T00:00:00Z", true), ("far", "2999-01-01T00:00:00Z", false),
            ] {
                let body = #"{"name":"\#(name)","tags":{"ledger.deadline":"\#(deadline)"}}"#
                #expect(try await client.post("/v1/jobs", body).status == 201)
                let page = try await client.get("/?search=\(name)")
                let text = String(decoding: page.body, as: UTF8.self)
                #expect(text.contains("<small class=\"late\">late, due ") == isLate, "\(name)")
                #expect(text.contains("<small class=\"late\" hidden>") == !isLate, "\(name)")
            }
        }
    }

    @Test("the track record needs a name")
    func trackRecord() async throws {
        try await withServer { client, _ in
            let record = try await client.get("/v1/estimates?name=nightly")
            #expect(record.status == 200)
            #expect(try NamedTrackRecord(record.json).record == TrackRecord())
            #expect(try await client.get("/v1/estimates").status == 422)
        }
    }

    @Test("the response of a running job is used for a second, that of an ended job for ever")
    func cachedEstimate() throws {
        let clock = StoppedClock()
        let cache = ResponseCache(now: { clock.now })
        let job = JobID(high: 1, low: 2)
        let stamp = SnapshotStamp(ledgerSequence: 1, head: .none, sequence: 1, projection: 1, writer: 1)
        cache.insert(.json(headers: [.eTag: "t"]) { $0.object { _ in } }, of: job, stamp, isRunning: true)
        clock.move(by: .milliseconds(999))
        #expect(cache.response(job, stamp) != nil && cache.contains(job))
        clock.move(by: .milliseconds(1))
        #expect(cache.response(job, stamp) == nil && !cache.contains(job))
        cache.insert(.json(headers: [.eTag: "t"]) { $0.object { _ in } }, of: job, stamp)
        clock.move(by: .seconds(86_400))
        #expect(cache.response(job, stamp) != nil && cache.contains(job))
    }
}
