import Ledger
import LedgerHTTP
import LedgerTestSupport
import LedgerWire
import Testing

@Suite("Pages of many jobs")
struct JobListPageTests {
    private func text(_ response: RawResponse) -> String { String(decoding: response.body, as: UTF8.self) }

    /// The names of the jobs on a page, in order.
    private func names(_ page: String) -> [String] {
        page.matches(of: /<th scope="row"><a href="\.\/jobs\/[^"]+"><bdi>([^<]*)<\/bdi>/).map { String($0.output.1) }
    }

    private func link(_ kind: String, _ page: String) -> String? {
        page.firstMatch(of: try! Regex("<a rel=\"\(kind)\" href=\"\\.([^\"]+)\"")).map { match in
            String(match.output[1].substring ?? "").replacing("&amp;", with: "&")
        }
    }

    @Test("older and newer pages join without a gap or a repetition, in both orders")
    func pages() async throws {
        try await withServer { client, _ in
            for number in 0..<120 { _ = try await client.createJob("job \(number)") }
            for (sort, numbers) in [("newest", Array((0..<120).reversed())), ("oldest", Array(0..<120))] {
                let expected = numbers.map { "job \($0)" }
                var page = text(try await client.get("/?sort=\(sort)"))
                #expect(link("prev", page) == nil)
                var pages = [names(page)]
                while let next = link("next", page) {
                    page = text(try await client.get(next))
                    pages.append(names(page))
                }
                #expect(pages.flatMap { $0 } == expected && pages.map(\.count) == [50, 50, 20])
                // Back again: the link redirects to the page that ends where this one begins.
                for index in [1, 0] {
                    let back = try #require(link("prev", page))
                    let response = try await client.get(back)
                    #expect(response.status == 303)
                    page = text(try await client.get(try #require(response.headers["location"])))
                    #expect(names(page) == pages[index])
                }
                #expect(link("prev", page) == nil)
            }
        }
    }

    @Test("states are links with counts, which add a state or remove it")
    func states() async throws {
        try await withServer { client, _ in
            for outcome in ["completed", "failed", "failed"] {
                let job = try await client.createJob()
                _ = try await client.post(
                    "/v1/jobs/\(job)/events?wait=folded", #"{"type":"job_finished","outcome":"\#(outcome)"}"#)
            }
            let all = text(try await client.get("/?search=j"))
            #expect(all.contains("href=\"./?search=j&amp;state=failed\">failed <b>2</b></a>"))
            #expect(all.contains(">running <b>0</b></a>"))
            let failed = text(try await client.get("/?state=failed&state=completed"))
            #expect(names(failed).count == 3)
            #expect(failed.contains("href=\"./?state=completed\" aria-current=\"true\">failed <b>2</b></a>"))
            // The form keeps the states.
            #expect(failed.contains("<input type=\"hidden\" name=\"state\" value=\"failed\">"))
        }
    }

    @Test("replays are hidden unless asked for, and keys are shown")
    func replays() async throws {
        try await withServer { client, _ in
            _ = try await client.post("/v1/jobs", #"{"name":"replay","tags":{"policy":"last","job":"all"}}"#)
            _ = try await client.post("/v1/jobs", #"{"name":"keyed","key":"k<1>"}"#)
            let page = text(try await client.get("/"))
            #expect(names(page) == ["keyed"] && page.contains("<small class=\"job-key\"><bdi>k&lt;1&gt;</bdi></small>"))
            #expect(names(text(try await client.get("/?replays=true"))) == ["keyed", "replay"])
        }
    }

    @Test("jobs are sorted by name, by progress, and by their problems")
    func sorts() async throws {
        try await withServer { client, _ in
            func create(_ name: String, _ done: Int, tags: String = "{}") async throws -> String {
                let created = try await client.post("/v1/jobs", #"{"name":"\#(name)","tags":\#(tags)}"#)
                let job = try #require(created.json["job"]?.text)
                _ = try await client.post(
                    "/v1/jobs/\(job)/events?wait=folded",
                    #"{"type":"progress","task":"t","attempt":1,"total":10,"done":\#(done)}"#)
                return job
            }
            _ = try await create("b", 5)
            let failing = try await create("C", 7)
            _ = try await create("a", 9)
            _ = try await create("late", 1, tags: #"{"ledger.deadline":"2020-01-01T00:00:00Z"}"#)
            _ = try await client.post(
                "/v1/jobs/\(failing)/events?wait=folded",
                #"{"type":"execution_finished","task":"t","attempt":1,"outcome":"failed"}"#)
            #expect(names(text(try await client.get("/?sort=name"))) == ["a", "b", "C", "late"])
            #expect(names(text(try await client.get("/?sort=progress"))) == ["late", "b", "C", "a"])
            #expect(names(text(try await client.get("/?sort=urgency"))) == ["late", "C", "a", "b"])
            #expect(names(text(try await client.get("/?sort=changed"))).first == "C")
            let wall = text(try await client.get("/wall"))
            let tiles = wall.matches(of: /data-urgency="(\w+)" data-deadline/).map { String($0.output.1) }
            #expect(tiles == ["late", "failing", "running", "running"])
            #expect(wall.contains("<b>4</b> running") && wall.contains("<b>1</b> late"))
            // A job that failed stays on the wall.
            _ = try await client.post(
                "/v1/jobs/\(failing)/events?wait=folded",
                #"{"type":"job_finished","outcome":"failed","message":"disk <full>"}"#)
            let after = text(try await client.get("/wall"))
            #expect(after.contains("<b>3</b> running") && after.contains("Failed in the last 24 hours"))
            #expect(after.contains("disk &lt;full&gt;"))
            for query in ["sort=size", "created=year", "replays=1", "sort=name&cursor=\(failing)"] {
                #expect(try await client.get("/?\(query)").status == 422, "\(query)")
            }
        }
    }

    @Test("an empty ledger shows how to report, and any job replaces that")
    func isEmpty() async throws {
        try await withServer { client, _ in
            let empty = text(try await client.get("/"))
            #expect(empty.contains("No jobs yet") && empty.contains("progress-ledger report job create"))
            #expect(empty.contains("http://localhost") && empty.contains("action=\"./\" hidden>"))
            #expect(text(try await client.get("/wall")).contains("No job is running."))
            #expect(text(try await client.get("/?state=failed")).contains("No jobs match the filter."))
            _ = try await client.createJob()
            #expect(!text(try await client.get("/")).contains("No jobs yet"))
        }
    }

    @Test("the reference shows every operation and every schema of the description")
    func reference() async throws {
        try await withServer { client, _ in
            let description = try await client.get("/openapi.json").json
            let page = text(try await client.get("/docs"))
            guard case .object(let schemas)? = description["components"]?["schemas"],
                case .object(let paths)? = description["paths"]
            else {
                Issue.record("the description has no schemas")
                return
            }
            for schema in schemas { #expect(page.contains("id=\"schema-\(schema.name)\""), "\(schema.name)") }
            for path in paths {
                guard case .object(let methods) = path.value else { continue }
                for method in methods {
                    let id = try #require(method.value["operationId"]?.text)
                    #expect(page.contains("<article id=\"\(id)\">"), "\(id)")
                }
            }
            #expect(!page.contains("style=") && !page.contains("src=\"http"))
            #expect(try await client.get("/docs/").status == 308)
        }
    }
}
