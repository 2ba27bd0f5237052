import Foundation
import Ledger
import LedgerHTTP
import LedgerStore
import LedgerTestSupport
import LedgerWire
import NIOCore
import Testing

// The limit includes the wait for a free database, of which a run of all tests has few.
@Suite("Watching", .timeLimit(.minutes(10)))
struct WatchTests {
    private static func progress(_ done: Int, task: String = "t", label: String = "l") -> String {
        #"{"type":"progress","task":"\#(task)","label":"\#(label)","total":\#(done),"done":\#(done)}"#
    }

    private static let finish = #"{"type":"job_finished","outcome":"completed"}"#

    @Test("a stream begins with a snapshot, sends one after each change, and ends with the job")
    func watchesJobs() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob("watched")
            try await EventSource.open(client, "/v1/jobs/\(job)/watch") { source in
                #expect(source.head.hasPrefix("HTTP/1.1 200"))
                #expect(source.head.lowercased().contains("content-type: text/event-stream"))
                let first = try #require(try await source.next())
                #expect(first.name == "snapshot" && first.sequence == "1")
                let read = try await client.get("/v1/jobs/\(job)").json
                // All fields but the server's time are compared; it is the first field.
                #expect(try first.json["now"] != nil)
                #expect(try JobView(try first.json).snapshot == JobView(read).snapshot)
                _ = try await client.post("/v1/jobs/\(job)/events", Self.progress(3))
                let second = try #require(try await source.next())
                #expect(second.sequence == "2")
                #expect(try JobView(try second.json).snapshot.indicators.map(\.counted.done) == [3])
                _ = try await client.post("/v1/jobs/\(job)/events", Self.finish)
                let third = try #require(try await source.next())
                #expect(third.name == "snapshot" && third.sequence == "3")
                let end = try #require(try await source.next())
                #expect(end.name == "end")
                #expect(try end.json["state"]?.text == "completed")
                #expect(try await source.next() == nil)
            }
        }
    }

    @Test("a stream of named jobs contains these, without those that do not exist")
    func watchesNamedJobs() async throws {
        try await withServer { client, _ in
            let jobs = [try await client.createJob("a"), try await client.createJob("b")].sorted()
            let other = try await client.createJob("other")
            let path = "/v1/watch?jobs=\(jobs[0]),\(JobID(high: 1, low: 2)),\(jobs[1])"
            try await EventSource.open(client, path) { source in
                let list = try #require(try await source.next())
                #expect(list.name == "list")
                #expect(try list.json["jobs"]?.elements?.compactMap(\.text) == jobs.reversed())
                for job in jobs.reversed() {
                    #expect(try await source.next()?.json["job"]?.text == job)
                }
                _ = try await client.post("/v1/jobs/\(other)/events", Self.progress(1))
                _ = try await client.post("/v1/jobs/\(jobs[0])/events", Self.progress(3))
                let change = try #require(try await source.next())
                #expect(change.name == "snapshot" && change.id == nil)
                #expect(try change.json["job"]?.text == jobs[0])
            }
            let many = Array(repeating: jobs[0], count: 51).joined(separator: ",")
            for ids in ["", "x", "\(jobs[0]),", many] {
                #expect(try await client.get("/v1/watch?jobs=\(ids)").status == 422, "\(ids)")
            }
        }
    }

    @Test("a client that resumes with Last-Event-ID gets only the events that it lacks")
    func resumes() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            _ = try await client.post("/v1/jobs/\(job)/events?wait=folded", Self.progress(1))
            let path = "/v1/jobs/\(job)/watch"
            // A sequence alone does not identify a history, so its snapshot is sent again.
            var ids: [String] = []
            for lastID in ["1", "2", "x", "99"] {
                try await EventSource.open(client, path, headers: ["Last-Event-ID": lastID]) { source in
                    let id = try #require(try await source.next()?.id)
                    #expect(id.hasPrefix("2-"))
                    ids.append(id)
                }
            }
            try await EventSource.open(client, path, headers: ["Last-Event-ID": ids[0]]) { source in
                _ = try await client.post("/v1/jobs/\(job)/events", Self.progress(1))
                let id = try await source.next()?.sequence
                #expect(id == "3")
            }
            _ = try await client.post("/v1/jobs/\(job)/events?wait=folded", Self.finish)
            var last = ""
            try await EventSource.open(client, path) { source in last = try #require(try await source.next()?.id) }
            try await EventSource.open(client, path, headers: ["Last-Event-ID": last]) { source in
                let end = try await source.next()
                #expect(end?.name == "end" && end?.id == last)
                #expect(try await source.next() == nil)
            }
        }
    }

    @Test("frequent changes send at most ten snapshots per second, and always the newest")
    func limitsRates() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            try await EventSource.open(client, "/v1/jobs/\(job)/watch") { source in
                let id = try await source.next()?.sequence
                #expect(id == "1")
                let started = ContinuousClock.now
                let reporting = Task {
                    for _ in 1...300 { _ = try await client.post("/v1/jobs/\(job)/events", Self.progress(1)) }
                }
                var count = 0
                var last: Int64 = 1
                while last < 301 {
                    let sequence = try #require(try await source.next()?.sequence.flatMap { Int64($0) })
                    #expect(sequence > last)
                    last = sequence
                    count += 1
                }
                let seconds = started.duration(to: .now) / .seconds(1)
                #expect(Double(count) <= seconds * 10 + 1, "\(count) in \(seconds) s")
                try await reporting.value
            }
        }
    }

    @Test("all watchers of a job share one read of each change")
    func sharesReads() async throws {
        try await withPostgresServer { client, ledger in
            let job = try await client.createJob()
            let sources = 50
            try await withThrowingTaskGroup(of: Void.self) { group in
                let (joined, sink) = AsyncStream.makeStream(of: Void.self)
                for _ in 0..<sources {
                    group.addTask {
                        // Otherwise a failed watcher would be waited for.
                        defer { sink.finish() }
                        try await EventSource.open(client, "/v1/jobs/\(job)/watch") { source in
                            let id = try await source.next()?.sequence
                            #expect(id == "1")
                            sink.yield()
                            while let event = try await source.next(), event.name != "end" {}
                        }
                    }
                }
                var count = 0
                for await _ in joined {
                    count += 1
                    if count == sources { break }
                }
                let before = await roundTrips(ledger)
                _ = try await client.post("/v1/jobs/\(job)/events?wait=folded", Self.finish)
                try await group.waitForAll()
                // One is for the change; the others are for the fold, the wait for it, and polling.
                #expect(await roundTrips(ledger) - before < 20)
            }
        }
    }

    private func roundTrips(_ ledger: PostgresLedger) async -> Double {
        await ledger.statistics().first { $0.name == "progress_ledger_database_round_trips_total" }?.value ?? 0
    }

    @Test("a stream of a list sends its jobs, newest first, and follows their changes")
    func watchesLists() async throws {
        try await withServer { client, _ in
            let old = try await client.createJob("a")
            try await EventSource.open(client, "/v1/watch?state=running&name=a&limit=2") { source in
                func jobs(_ event: ServerSentEvent?) throws -> [String] {
                    let event = try #require(event)
                    #expect(event.name == "list")
                    return try event.json["jobs"]?.elements?.compactMap(\.text) ?? []
                }
                #expect(try jobs(try await source.next()) == [old])
                let first = try await source.next()
                #expect(first?.name == "snapshot" && first?.id == nil)
                #expect(try first?.json["job"]?.text == old)
                _ = try await client.createJob("b")
                let new = try await client.createJob("a")
                #expect(try jobs(try await source.next()) == [new, old])
                #expect(try await source.next()?.json["job"]?.text == new)
                _ = try await client.post("/v1/jobs/\(old)/events", Self.progress(2))
                let moved = try await source.next()
                #expect(try moved?.json["job"]?.text == old)
                #expect(try moved?.json["sequence"] == .integer(2))
                // The full list contains the newest two; the third returns after one of them has ended.
                let newest = try await client.createJob("a")
                #expect(try jobs(try await source.next()) == [newest, new])
                #expect(try await source.next()?.json["job"]?.text == newest)
                _ = try await client.post("/v1/jobs/\(new)/events", Self.finish)
                var members = try jobs(try await source.next())
                if members == [newest] { members = try jobs(try await source.next()) }
                #expect(members == [newest, old])
            }
        }
    }

    @Test("tags and cursors select the jobs of a list")
    func filtersLists() async throws {
        try await withServer { client, _ in
            let tagged = try await client.post("/v1/jobs", #"{"name":"x","tags":{"k":"v w"}}"#).json["job"]?.text
            let other = try await client.createJob("y")
            for query in ["tag.k=v%20w", "cursor=\(other)"] {
                try await EventSource.open(client, "/v1/watch?\(query)") { source in
                    let list = try await source.next()
                    #expect(try list?.json["jobs"]?.elements?.compactMap(\.text) == [tagged])
                }
            }
        }
    }

    @Test(
        "an invalid request to watch is refused with problem+json",
        arguments: [
            ("/v1/jobs/01900000-0000-7000-8000-000000000000/watch", 404), ("/v1/jobs/x/watch", 404),
            ("/v1/watch?state=done", 422), ("/v1/watch?limit=0", 422), ("/v1/watch?nonsense=1", 422),
            ("/v1/watch?cursor=x", 422), ("/v1/watch?key=k", 422),
        ])
    func refuses(path: String, status: Int) async throws {
        try await withServer { client, _ in
            let refused = try await client.get(path)
            #expect(refused.status == status)
            #expect(refused.headers["content-type"] == "application/problem+json")
        }
    }

    @Test("streams have the same head for all forms of the request")
    func sameHeads() async throws {
        try await withServer { client, _ in
            let path = "/v1/jobs/\(try await client.createJob())/watch"
            func head(_ headers: [String: String]) async throws -> Set<String> {
                try await EventSource.open(client, path, headers: headers) { source in
                    let id = try await source.next()?.sequence
                    #expect(id == "1")
                    let lines = source.head.lowercased().split(separator: "\r\n").map(String.init)
                    return Set(lines.filter { !$0.hasPrefix("date:") })
                }
            }
            let plain = try await head([:])
            let keptAlive = try await head(["Connection": "keep-alive"])
            let withLength = try await head(["Content-Length": "0"])
            #expect(plain == withLength)
            #expect(keptAlive == withLength)
        }
    }

    @Test("many concurrent new watchers each get a snapshot, or 404 if the job does not exist")
    func crowds() async throws {
        try await withServer { client, _ in
            var jobs: [String] = []
            for number in 0..<30 { jobs.append(try await client.createJob("crowd \(number)")) }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for job in jobs {
                    for _ in 0..<5 {
                        group.addTask {
                            try await EventSource.open(client, "/v1/jobs/\(job)/watch") { source in
                                let first = try #require(try await source.next())
                                #expect(try first.json["job"]?.text == job)
                            }
                        }
                    }
                }
                for number in 10..<20 {
                    group.addTask {
                        let missing = "01900000-0000-7000-8000-0000000000\(number)"
                        try await EventSource.open(client, "/v1/jobs/\(missing)/watch") { source in
                            #expect(source.head.hasPrefix("HTTP/1.1 404"))
                        }
                    }
                }
                try await group.waitForAll()
            }
            try await eventually(equals: 0) { try await watchers(client) }
        }
    }

    @Test("watchers beyond the limit get 503 with Retry-After until another one leaves")
    func limitsWatchers() async throws {
        try await withServer({ $0.watchersMax = 2 }) { client, _ in
            let job = try await client.createJob()
            let path = "/v1/jobs/\(job)/watch"
            try await EventSource.open(client, path) { first in
                let id = try await first.next()?.sequence
                #expect(id == "1")
                try await EventSource.open(client, path) { second in
                    let id = try await second.next()?.sequence
                    #expect(id == "1")
                    let refused = try await client.get(path)
                    #expect(refused.status == 503)
                    #expect(refused.headers["retry-after"] != nil)
                }
                try await eventually({ $0.hasPrefix("HTTP/1.1 200") }) {
                    try await EventSource.open(client, path) { $0.head }
                }
            }
            let metrics = String(decoding: try await client.get("/metrics").body, as: UTF8.self)
            #expect(metrics.contains("progress_ledger_http_watchers"))
        }
    }

    @Test("a HEAD request does not count as a watcher")
    func headRequestsDoNotCount() async throws {
        try await withServer({ $0.watchersMax = 1 }) { client, _ in
            let job = try await client.createJob()
            for _ in 1...3 {
                try await eventually(equals: 200) { try await client.request("HEAD", "/v1/jobs/\(job)/watch").status }
            }
        }
    }

    @Test("a watcher that does not read is disconnected and no longer counts")
    func disconnectsSlowReaders() async throws {
        try await withServer({ $0.writeTimeout = .milliseconds(300) }) { client, _ in
            let job = try await client.createJob()
            let label = String(repeating: "l", count: 90)
            let declared = (0..<1_000).map { #"{"type":"progress","task":"t","label":"\#(label)\#($0)","total":1}"# }
            let events = "[" + declared.joined(separator: ",") + "]"
            #expect(try await client.post("/v1/jobs/\(job)/events?wait=folded", events).status == 201)
            // This client reads nothing, so it receives no more than the buffers of the system hold.
            let channel = try await client.connect()
            try await channel.executeThenClose { _, outbound in
                try await outbound.write(ByteBufferOf("GET /v1/jobs/\(job)/watch HTTP/1.1\r\nHost: localhost\r\n\r\n"))
                try await eventually(equals: 1) { try await watchers(client) }
                // Each snapshot has a quarter of a megabyte; together they exceed the system's buffers on both sides.
                try await eventually(equals: 0) { () -> Int? in
                    _ = try await client.post("/v1/jobs/\(job)/events?wait=folded", Self.progress(1))
                    return try await watchers(client)
                }
            }
        }
    }

    private func watchers(_ client: RawClient) async throws -> Int? {
        let metrics = String(decoding: try await client.get("/metrics").body, as: UTF8.self)
        return metrics.split(separator: "\n").first { $0.hasPrefix("progress_ledger_http_watchers ") }
            .flatMap { Int($0.split(separator: " ")[1]) }
    }

    @Test("streams survive an outage of the database, and get the changes after it")
    func outlivesOutages() async throws {
        try await withLedgerDatabase { target in
            let proxy = try FaultProxy(before: target)
            defer { proxy.close() }
            var settings = ServerSettings()
            settings.port = 0
            try await withRunningLedger(on: target) { writer in
                try await withRunningLedger(on: proxy.target, projection: nil) { ledger in
                    try await withServer(on: ledger, settings) { client in
                        let job = try await writer.createJob(JobDescription(name: "n")).view.id
                        try await EventSource.open(client, "/v1/jobs/\(job)/watch") { source in
                            let first = try await source.next()
                            #expect(first?.sequence == "1")
                            proxy.cut(.toClient, after: 0)
                            _ = try await writer.append([EventDraft(.jobFinished(.completed))], to: job)
                            try await eventually(equals: 503) { try await client.get("/readyz").status }
                            proxy.heal()
                            let second = try await source.next()
                            #expect(second?.sequence == "2")
                        }
                    }
                }
            }
        }
    }
}
