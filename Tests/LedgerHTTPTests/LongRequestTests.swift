import Ledger
import LedgerTestSupport
import LedgerWire
import Testing

@testable import LedgerHTTP

@Suite("Long requests")
struct LongRequestTests {
    private static func access(_ id: String) -> Access {
        Access(credential: .none, reporter: Name("token:\(id)"), scopes: [.read], confinement: .unconfined)
    }

    private func status(_ requests: LongRequests, _ access: Access) -> Int? {
        do throws(HTTPProblem) {
            _ = try requests.enter(access)
            return nil
        } catch {
            return error.details.status
        }
    }

    @Test("one token cannot take all places, and places are free again")
    func limits() throws {
        var settings = ServerSettings()
        settings.longRequestsMax = 3
        settings.longRequestsPerTokenMax = 2
        let requests = LongRequests(settings: settings)
        let (first, second) = (Self.access("aaaaaaaaaaaa"), Self.access("bbbbbbbbbbbb"))
        var permits = [try requests.enter(first), try requests.enter(first)]
        #expect(status(requests, first) == 429)
        permits.append(try requests.enter(second))
        #expect(status(requests, second) == 503)
        #expect(status(requests, .everything) == 503)
        permits.removeFirst()
        #expect(status(requests, first) == nil)
        // Without authentication only the number of all requests is limited.
        permits = []
        for _ in 0..<3 { permits.append(try requests.enter(.everything)) }
        #expect(status(requests, .everything) == 503)
    }

    @Test("exactly the routes that compute or stream for long are limited")
    func routes() async throws {
        try await withServer({ $0.longRequestsMax = 0 }) { client, _ in
            let job = try await client.createJob()
            for path in [
                "verify", "export", "history", "diff?from=0", "explain", "events", "progress?at_sequence=1",
                "tasks?at_sequence=1",
            ] {
                let response = try await client.get("/v1/jobs/\(job)/\(path)")
                #expect(response.status == 503 && response.headers["retry-after"] != nil, "\(path)")
            }
            #expect(try await client.post("/v1/replays", "{}").status == 503)
            #expect(try await client.post("/v1/imports", "", type: "application/x-ndjson").status == 503)
            for path in ["", "/progress", "/tasks", "/badge.svg"] {
                #expect(try await client.get("/v1/jobs/\(job)\(path)").status == 200, "\(path)")
            }
        }
    }
}
