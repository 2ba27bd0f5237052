import Ledger
import LedgerHTTP
import LedgerStore
import LedgerTestSupport
import LedgerWire
import Testing

@Suite("The page of a job and of a task")
struct JobPageTests {
    /// Failed tasks, a retry, and a task with a hostile name.
    private static let events = #"""
        [{"type":"progress","task":"tile-1","attempt":1,"label":"tiles","total":9,"done":4},
        {"type":"execution_started","task":"tile-1","attempt":2,"link":"https://engine.example/1"},
        {"type":"progress","task":"tile-1","attempt":2,"label":"tiles","total":9,"done":1},
        {"type":"execution_finished","task":"tile-1","attempt":2,"outcome":"failed","message":"KeyError: 'a'\nat line 3"},
        {"type":"execution_finished","task":"tile-2","attempt":1,"outcome":"failed","message":"KeyError: 'a'\nat line 4"},
        {"type":"execution_finished","task":"tile-3","attempt":1,"outcome":"failed","message":"<b>disk full</b>"},
        {"type":"progress","task":"=a/b&c<i>","attempt":1,"label":"bytes","unit":"bytes","total":4096,"done":2048}]
        """#

    private func withJob(_ body: (RawClient, String) async throws -> Void) async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            _ = try await client.post("/v1/jobs/\(job)/events?wait=folded", Self.events)
            try await body(client, job)
        }
    }

    private func text(_ response: RawResponse) -> String { String(decoding: response.body, as: UTF8.self) }

    @Test("the page begins with the state, the problems and their causes")
    func order() async throws {
        try await withJob { client, job in
            let page = text(try await client.get("/jobs/\(job)?indicator=tiles"))
            let ids = page.matches(of: /<section id="([a-z]+)"/).map { String($0.1) }
            #expect(
                ids == [
                    "head", "stalls", "failures", "facts", "indicators", "explanation", "chart", "timeline", "tasks",
                    "moment", "events",
                ])
        }
    }

    @Test("failed tasks are grouped by the first line of their message, with an example and its link")
    func failures() async throws {
        try await withJob { client, job in
            let part = text(try await client.get("/jobs/\(job)?part=failures"))
            #expect(part.contains("3 tasks have failed") && part.contains("state=failed#tasks"))
            let first = try #require(part.firstRange(of: "2×")?.lowerBound)
            let second = try #require(part.firstRange(of: "&lt;b&gt;disk full&lt;/b&gt;")?.lowerBound)
            #expect(first < second && !part.contains("<b>disk"))
            #expect(part.contains("KeyError: &#39;a&#39;<br>at line 3") && !part.contains("at line 4"))
            #expect(part.contains(#"href="https://engine.example/1""#) && part.contains("task?name=tile-1"))
            let before = text(try await client.get("/jobs/\(job)?part=failures&at_sequence=3"))
            #expect(before == #"<section id="failures" hidden></section>"#)
        }
    }

    @Test("the explanation shows what does not count, and everything on request")
    func explanation() async throws {
        try await withJob { client, job in
            let path = "/jobs/\(job)?indicator=tiles&part=explanation"
            let uncounted = text(try await client.get(path))
            #expect(uncounted.matches(of: /<tr data-counts="superseded"/).count == 1)
            #expect(!uncounted.contains("<tr data-counts=\"counted\""))
            let all = text(try await client.get("\(path)&executions=all"))
            #expect(all.matches(of: /<tr data-counts="/).count == 2)
            let none = text(try await client.get("/jobs/\(job)?indicator=bytes&part=explanation"))
            #expect(none.contains("Everything counts.") && none.contains("2.0 KiB\u{2009}/\u{2009}4.0 KiB"))
        }
    }

    @Test("executions are searched and sorted, and their timeline shows the same ones")
    func executions() async throws {
        try await withJob { client, job in
            func tasks(_ query: String) async throws -> [String] {
                let part = text(try await client.get("/jobs/\(job)?part=tasks&\(query)"))
                let rows = part.matches(of: /<th scope="rowgroup"[^>]*><a href="[^"]*"><bdi>([^<]*)</).map {
                    String($0.1)
                }
                #expect(part.matches(of: /class="lane"/).count == rows.count)
                return rows
            }
            #expect(try await tasks("find=TILE") == ["tile-1", "tile-2", "tile-3"])
            #expect(try await tasks("find=tile&order=newest") == ["tile-3", "tile-2", "tile-1"])
            #expect(try await tasks("state=failed&order=attempts").first == "tile-1")
            #expect(try await tasks("find=none") == [])
            #expect(try await client.get("/jobs/\(job)?order=best").status == 422)
            // The superseded execution is hatched.
            let part = text(try await client.get("/jobs/\(job)?part=tasks&find=tile-1"))
            #expect(part.matches(of: /class="hatched"[^>]*fill="url\(#hatch\)"/).count == 1)
        }
    }

    @Test("a job with more tasks than are drawn one by one has a timeline of all executions")
    func timeline() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            let tasks = (1...60).map { number in
                """
                {"type":"execution_started","task":"t\(number)","attempt":1},
                {"type":"execution_finished","task":"t\(number)","attempt":1,"outcome":"\(number <= 3 ? "failed" : "succeeded")"}
                """
            }
            let few = tasks.prefix(50).joined(separator: ",")
            _ = try await client.post("/v1/jobs/\(job)/events?wait=folded", "[\(few)]")
            let none = text(try await client.get("/jobs/\(job)?part=timeline"))
            #expect(none == #"<section id="timeline" hidden></section>"#)
            let rest = tasks.suffix(10).joined(separator: ",")
            let retry = #"{"type":"execution_started","task":"t1","attempt":2}"#
            _ = try await client.post("/v1/jobs/\(job)/events?wait=folded", "[\(rest),\(retry)]")
            let shown = text(try await client.get("/jobs/\(job)?part=timeline"))
            for name in ["succeeded", "running", "failed", "superseded"] {
                #expect(shown.contains("<path class=\"layer\" data-outcome=\"\(name)\""), "\(name)")
            }
            #expect(shown.contains(#"class="strip""#) && shown.contains("3 failed\""))
            let past = text(try await client.get("/jobs/\(job)?part=timeline&at_sequence=120"))
            #expect(past.contains("data-outcome=\"failed\"") && !past.contains("superseded"))
            // Of many tasks, the newest ones are shown first.
            let first = text(try await client.get("/jobs/\(job)?part=tasks")).firstMatch(
                of: /<th scope="rowgroup"[^>]*><a[^>]*><bdi>([^<]*)</)
            #expect(first?.1 == "t60")
            let csv = text(try await client.get("/jobs/\(job)?part=timeline&as=csv")).split(separator: "\r\n")
            #expect(csv.count == 121 && csv[0].hasSuffix(",failed_at_work,superseded_at_work,failed"))
            let failed = csv.dropFirst().compactMap { $0.split(separator: ",").last.flatMap { Int($0) } }
            #expect(failed.reduce(0, +) == 3)
            // The JSON beside it contains the same numbers.
            #expect(shown.contains("part=timeline&amp;as=json"))
            let response = try await client.get("/jobs/\(job)?part=timeline&as=json")
            #expect(response.headers["content-type"] == "application/json")
            let intervals = try #require(response.json["intervals"]?.elements)
            #expect(intervals.count == 120)
        }
    }

    @Test("the page of a task shows all its executions and its events only")
    func task() async throws {
        try await withJob { client, job in
            let page = text(try await client.get("/jobs/\(job)/task?name=tile-1"))
            #expect(page.contains("<h1><bdi>tile-1</bdi></h1>") && page.contains("KeyError: &#39;a&#39;"))
            #expect(page.matches(of: /<tr data-key="\d+" data-counts="/).count == 2)
            #expect(page.matches(of: /<tr data-key="\d+" data-verdict="/).count == 4)
            #expect(page.contains(#"src="../../pages/task.js""#))
            #expect(page.contains("href=\"../../jobs/\(job)\""))
            let hostile = text(try await client.get("/jobs/\(job)/task?name=%3Da%2Fb%26c%3Ci%3E"))
            #expect(hostile.contains("<h1><bdi>=a/b&amp;c&lt;i&gt;</bdi></h1>") && !hostile.contains("c<i>"))
            let past = text(try await client.get("/jobs/\(job)/task?name=tile-1&at_sequence=2"))
            #expect(past.matches(of: /<tr data-key="\d+" data-counts="/).count == 1)
            for (query, status) in [("name=none", 404), ("name=tile-1&at_sequence=1", 404), ("", 422)] {
                #expect(try await client.get("/jobs/\(job)/task?\(query)").status == status, "\(query)")
            }
        }
    }

    @Test("what is shown can be saved as CSV, in which no text of a job is a formula")
    func csv() async throws {
        try await withJob { client, job in
            func rows(_ path: String) async throws -> [String] {
                let response = try await client.get(path)
                #expect(response.headers["content-type"] == "text/csv; charset=utf-8")
                #expect(response.headers["content-disposition"]?.hasPrefix("attachment; filename=") == true)
                return text(response).split(separator: "\r\n").map(String.init)
            }
            let tasks = try await rows("/jobs/\(job)?part=tasks&as=csv&state=running")
            #expect(tasks.count == 2 && tasks[1].hasPrefix("'=a/b&c<i>,running,,1,,true,"))
            let failed = try await rows("/jobs/\(job)?part=tasks&as=csv&state=failed")
            #expect(failed.contains { $0.contains("\"KeyError: 'a'\nat line 3\",https://engine.example/1,") })
            #expect(try await rows("/jobs/\(job)?part=events&as=csv&type=progress").count == 4)
            #expect(try await rows("/jobs/\(job)?part=chart&as=csv&chart=tiles").count == 4)
            #expect(try await rows("/jobs/\(job)?part=explanation&as=csv&indicator=tiles").count == 2)
            #expect(try await rows("/jobs/\(job)/task?name=tile-1&part=tasks&as=csv").count == 3)
            #expect(try await client.get("/jobs/\(job)?part=head&as=csv").status == 422)
        }
    }

    @Test("the links to JSON return what is shown")
    func json() async throws {
        try await withJob { client, job in
            let query = "state=failed&find=tile&order=newest&indicator=tiles&chart=bytes&at_sequence=7"
            let page = text(try await client.get("/jobs/\(job)?\(query)"))
            let links = page.matches(of: /<a href="\.\.(\/v1[^"]*)">JSON</).map {
                String($0.1).replacing("&amp;", with: "&")
            }
            #expect(links.count == 4)
            for link in links { #expect(try await client.get(link).status == 200, "\(link)") }
            let tasks = try #require(links.first { $0.contains("/tasks?") })
            let names = try await client.get(tasks).json["tasks"]?.elements?.compactMap { $0["task"]?.text }
            #expect(names == ["tile-3", "tile-2", "tile-1"])
            let explained = try #require(links.first { $0.contains("/explain?") })
            #expect(try await client.get(explained).json["tasks"]?.elements?.count == 1)
        }
    }
}
