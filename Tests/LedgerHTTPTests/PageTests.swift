import Ledger
import LedgerHTTP
import LedgerStore
import LedgerTestSupport
import LedgerWire
import Testing

@Suite("Pages")
struct PageTests {
    private static let events = """
        [{"type":"progress","task":"tile-17","attempt":1,"label":"tiles","total":50,"done":40},
        {"type":"execution_started","task":"tile-17","attempt":2},
        {"type":"progress","task":"tile-17","attempt":1,"label":"tiles","done":1},
        {"type":"progress","task":"tile-17","attempt":2,"label":"tiles","total":50,"done":10}]
        """

    private func text(_ response: RawResponse) -> String { String(decoding: response.body, as: UTF8.self) }

    @Test("names from callers are shown exactly and never become markup")
    func escapes() async throws {
        try await withServer { client, _ in
            let hostile = #"<script>alert(1)</script>"onload='x'&\#u{202E}"#
            var writer = JSONWriter()
            writer.object { writer in
                writer.field("name", hostile)
                writer.name("tags")
                writer.object { $0.field(hostile, hostile) }
            }
            let created = try await client.post("/v1/jobs", String(decoding: writer.bytes, as: UTF8.self))
            let job = try #require(try created.json["job"]?.text)
            var event = JSONWriter()
            event.object { writer in
                for (name, value) in [
                    ("type", "progress"), ("task", hostile), ("execution", hostile), ("label", hostile),
                ] {
                    writer.field(name, value)
                }
                writer.field("done", 1)
            }
            _ = try await client.post(
                "/v1/jobs/\(job)/events?wait=folded", String(decoding: event.bytes, as: UTF8.self))
            let shown = #"&lt;script&gt;alert(1)&lt;/script&gt;&quot;onload=&#39;x&#39;&amp;\u{202E}"#
            for path in ["/", "/jobs/\(job)", "/v1/jobs/\(job)/badge.svg"] {
                let page = text(try await client.get(path))
                #expect(!page.contains("<script>alert"), "\(path)")
                #expect(!page.contains("\u{202E}abc"), "\(path)")
                if !path.hasSuffix("svg") { #expect(page.contains(shown), "\(path)") }
            }
        }
    }

    @Test("pages load and run only the server's own files")
    func hasPolicy() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            for path in ["/", "/wall", "/jobs/\(job)", "/jobs/nonsense"] {
                let page = try await client.get(path)
                let policy = try #require(page.headers["content-security-policy"])
                #expect(policy.contains("default-src 'none'") && !policy.contains("unsafe"))
                let markup = text(page)
                // The page has neither inline code, which the policy would have to allow, nor links to other hosts.
                #expect(!markup.contains("style=") && !markup.contains("<style") && !markup.contains("//"))
                #expect(
                    markup.ranges(of: "<script").count
                        == markup.matches(of: /<script type="module" src="\.\.?\/pages\//).count)
            }
        }
    }

    @Test("pages with jobs show the version; the login and problems, which need no token, do not")
    func versions() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            for path in ["/", "/jobs/\(job)"] {
                let footer = " \(ProductVersion.current) · "
                #expect(text(try await client.get(path)).contains("Progress ledger</a>\(footer)"))
            }
            for path in ["/login", "/jobs/nonsense"] {
                let page = text(try await client.get(path))
                #expect(page.contains("Progress ledger</a> · ") && !page.contains(ProductVersion.current.build))
            }
        }
    }

    @Test("a person gets a page for an address without a route, and a program gets problem+json")
    func unknownAddresses() async throws {
        try await withServer { client, _ in
            for (path, root) in [("/nothing", "./"), ("/nothing/", "../"), ("/a/b//c?d=/e", "../../../")] {
                let response = try await client.get(path, headers: ["Accept": "text/html,*/*;q=0.8"])
                #expect(response.status == 404)
                #expect(text(response).contains("<h1>No such route</h1>"), "\(path)")
                #expect(text(response).contains("<a href=\"\(root)\">All jobs</a>"), "\(path)")
                let forProgram = try await client.get(path, headers: ["Accept": "*/*"])
                #expect(try forProgram.status == 404 && forProgram.json["title"]?.text == "No such route")
            }
            let post = try await client.request("POST", "/nothing", headers: ["Accept": "text/html"])
            #expect(post.headers["content-type"] == "application/problem+json")
        }
    }

    @Test("a page as of any event shows the bars, tasks and events of that moment")
    func showsThePast() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            _ = try await client.post("/v1/jobs/\(job)/events?wait=folded", Self.events)
            let now = text(try await client.get("/jobs/\(job)"))
            #expect(now.contains("20\u{202F}%") && now.contains("superseded <small>by attempt 2"))
            #expect(now.contains("late <small>superseded by attempt 2"))
            #expect(now.contains("−40 done, −50 total: tile-17 restarted, attempt 2"))
            let then = text(try await client.get("/jobs/\(job)?at_sequence=2"))
            #expect(then.contains("80\u{202F}%") && !then.contains("superseded <small>"))
            #expect(then.contains("As of event"))
            let beyond = try await client.get("/jobs/\(job)?at_sequence=99")
            #expect(beyond.status == 422)
            #expect(beyond.headers["content-type"]?.hasPrefix("text/html") == true)
        }
    }

    @Test("a page explains the chosen indicator and verifies the chain on request")
    func explains() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            _ = try await client.post("/v1/jobs/\(job)/events?wait=folded", Self.events)
            let page = text(try await client.get("/jobs/\(job)?indicator=tiles&verify=1"))
            #expect(page.contains("superseded by attempt 2"))
            #expect(page.contains("<b>51\u{2009}/\u{2009}100</b> received"))
            #expect(page.contains("✓ Verified"))
            let part = text(try await client.get("/jobs/\(job)?indicator=tiles&part=explanation"))
            #expect(part.hasPrefix("<section id=\"explanation\">"))
        }
    }

    @Test("jobs are found by part of the name, by key, id, state and tags")
    func finds() async throws {
        try await withServer { client, _ in
            let job = try #require(
                try await client.post("/v1/jobs", #"{"name":"Nightly import","key":"k-1","tags":{"a":"b=c"}}"#)
                    .json["job"]?.text)
            _ = try await client.createJob("other")
            for query in ["search=nightly", "search=k-1", "tag=a%3Db%3Dc", "state=running&search=import"] {
                let page = text(try await client.get("/?\(query)"))
                #expect(page.contains("Nightly import") && !page.contains(">other<"), "\(query)")
            }
            #expect(try await client.get("/?search=\(job)").headers["location"] == "/jobs/\(job)")
            #expect(text(try await client.get("/?state=failed&search=")).contains("No jobs match the filter."))
            for query in ["state=done", "tag=a", "cursor=x", "nonsense=1"] {
                #expect(try await client.get("/?\(query)").status == 422, "\(query)")
            }
        }
    }

    @Test("a badge shows name and percentage, and keeps its entity tag until they change")
    func hasBadges() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob("badge <&>")
            _ = try await client.post(
                "/v1/jobs/\(job)/events?wait=folded", #"{"type":"progress","task":"t","total":8,"done":8}"#)
            let badge = try await client.get("/v1/jobs/\(job)/badge.svg")
            #expect(badge.headers["content-type"]?.hasPrefix("image/svg+xml") == true)
            // A running job is never at 100 %.
            #expect(text(badge).contains("badge &lt;&amp;&gt;: 99%"))
            let tag = try #require(badge.headers["etag"])
            let path = "/v1/jobs/\(job)/badge.svg"
            #expect(try await client.get(path, headers: ["If-None-Match": tag]).status == 304)
            _ = try await client.post(
                "/v1/jobs/\(job)/events?wait=folded", #"{"type":"job_finished","outcome":"completed"}"#)
            let after = try await client.get(path, headers: ["If-None-Match": tag])
            #expect(text(after).contains("completed 100%"))
            #expect(try await client.get("/v1/jobs/nonsense/badge.svg").status == 404)
        }
    }

    @Test("a request for an unchanged file gets 304")
    func hasFiles() async throws {
        try await withServer { client, _ in
            for name in [
                "style.css", "jobs.css", "docs.css", "job.js", "jobs.js", "wall.js", "times.js", "urgency.js",
                "feed.js", "text.js", "indicators.js", "connection.js", "clock.js", "parts.js", "patch.js",
                "silence.js", "slots.js", "stream.js", "streams-worker.js", "shared.js", "copy.js", "task.js",
                "invisible.js",
            ] {
                let file = try await client.get("/pages/\(name)")
                #expect(file.status == 200, "\(name)")
                let tag = try #require(file.headers["etag"])
                #expect(try await client.get("/pages/\(name)", headers: ["If-None-Match": tag]).status == 304)
            }
            // Only the worker runs by itself, and only with this server.
            let worker = try await client.get("/pages/streams-worker.js").headers["content-security-policy"]
            #expect(worker == "default-src 'none'; script-src 'self'; connect-src 'self'")
            let script = try await client.get("/pages/job.js").headers["content-security-policy"]
            #expect(script?.contains("connect-src") == false)
            #expect(try await client.get("/pages/page.html").status == 404)
            #expect(try await client.get("/pages/icon.svg?percent=63&state=running").status == 200)
        }
    }

    @Test("tasks as of an event equal those of the fold at that event, page by page")
    func hasPastTasks() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            _ = try await client.post("/v1/jobs/\(job)/events?wait=folded", Self.events)
            _ = try await client.post(
                "/v1/jobs/\(job)/events?wait=folded", #"{"type":"progress","task":"other","done":1}"#)
            let present = try await client.get("/v1/jobs/\(job)/tasks").json
            #expect(try await client.get("/v1/jobs/\(job)/tasks?at_sequence=6").json == present)
            let past = try await client.get("/v1/jobs/\(job)/tasks?at_sequence=2").json
            let executions = try #require(past["tasks"]?.elements?.first?["executions"]?.elements)
            #expect(executions.count == 1 && executions[0]["counted"] == .bool(true))
            let first = try await client.get("/v1/jobs/\(job)/tasks?at_sequence=6&limit=1").json
            let cursor = try #require(first["next_cursor"]?.text)
            let second = try await client.get("/v1/jobs/\(job)/tasks?at_sequence=6&limit=1&cursor=\(cursor)").json
            #expect(second["tasks"]?.elements?.first?["task"]?.text == "other")
            #expect(second["next_cursor"] == .null)
        }
    }
}
