import Ledger
import LedgerTestSupport
import LedgerWire
import Testing

@testable import LedgerHTTP

/// Properties of the description that generated clients depend on.
@Suite("The OpenAPI description")
struct DescriptionTests {
    /// A value and all values in it.
    private func values(_ value: JSONValue) -> [JSONValue] {
        switch value {
        case .object(let fields): [value] + fields.flatMap { values($0.value) }
        case .array(let elements): [value] + elements.flatMap(values)
        default: [value]
        }
    }

    private func names(_ value: JSONValue?) -> [String] {
        guard case .object(let fields)? = value else { return [] }
        return fields.map(\.name)
    }

    @Test("every integer has a format unless it may have any size, and every reference resolves")
    func typesAndReferences() async throws {
        try await withServer { client, _ in
            let description = try await client.get("/openapi.json").json
            var (integers, references) = (0, 0)
            for value in values(description) {
                if value["type"]?.text == "integer" || value["type"]?.elements?.first?.text == "integer" {
                    integers += 1
                    let isSum = value["description"]?.text?.contains("any size") == true
                    #expect(isSum != ["int32", "int64"].contains(value["format"]?.text), "\(value)")
                    let isLarge = (value["maximum"]?.integer ?? .max) > Int128(Int32.max)
                    #expect(isSum || (value["format"]?.text == "int64") == isLarge, "\(value)")
                }
                if let reference = value["$ref"]?.text {
                    references += 1
                    var found: JSONValue? = description
                    for part in reference.split(separator: "/").dropFirst() { found = found?[String(part)] }
                    #expect(found != nil, "\(reference)")
                }
            }
            #expect(integers > 20 && references > 20)
            let done = try #require(description["components"]?["schemas"]?["Indicator"]?["properties"]?["done"])
            #expect(done["format"] == nil)
        }
    }

    @Test("bodies, parameters, headers and responses of every route are described")
    func routes() async throws {
        try await withServer { client, _ in
            let description = try await client.get("/openapi.json").json
            guard case .object(let paths)? = description["paths"] else { throw Missing() }
            for path in paths {
                guard case .object(let methods) = path.value else { throw Missing() }
                for method in methods {
                    let statuses = names(method.value["responses"])
                    var expected = ["400", "429", "503"]
                    if method.value["requestBody"] != nil { expected += ["408", "413", "415", "422"] }
                    if method.name == "get" { expected.append("504") }
                    if path.name.contains("{") { expected.append("404") }
                    #expect(Set(expected).isSubset(of: statuses), "\(method.name) \(path.name): \(statuses)")
                    for status in ["429", "503"] {
                        #expect(method.value["responses"]?[status]?["headers"]?["Retry-After"] != nil)
                    }
                }
            }
            let get = description["paths"]?["/v1/jobs/{job}"]?["get"]
            #expect(get?["responses"]?["200"]?["headers"]?["ETag"] != nil)
            let parameters = get?["parameters"]?.elements ?? []
            #expect(parameters.compactMap { $0["name"]?.text } == ["job", "If-None-Match", "Prefer"])
            #expect(
                description["paths"]?["/v1/jobs"]?["post"]?["responses"]?["201"]?["headers"]?["Location"] != nil)
            let tags = description["paths"]?["/v1/jobs"]?["get"]?["parameters"]?.elements?.first {
                $0["schema"]?["type"]?.text == "object"
            }
            #expect(tags?["explode"] == .bool(true) && tags?["schema"]?["propertyNames"] != nil)
            let schemas = description["components"]?["schemas"]
            #expect(schemas?["EventsRequest"]?["oneOf"]?.elements?.count == 2)
            #expect(schemas?["EventRequest"]?["discriminator"]?["propertyName"]?.text == "type")
        }
    }

    @Test("every schema has its own name, and every field of it a description")
    func describesFields() async throws {
        try await withServer {
            $0.servesTilebox = true
        } _: { client, _ in
            let schemas = try await client.get("/openapi.json").json["components"]?["schemas"]
            #expect(Set(names(schemas)).count == names(schemas).count)
            guard case .object(let entries)? = schemas else { throw Missing() }
            var checked = 0
            for entry in entries {
                for field in names(entry.value["properties"]) {
                    let text = entry.value["properties"]?[field]?["description"]?.text ?? ""
                    #expect(text.count > 1 && !text.hasSuffix("."), "\(entry.name).\(field)")
                    checked += 1
                }
            }
            #expect(checked > 300)
        }
    }

    @Test("every operation has one of the declared tags, and a summary")
    func groupsOperations() async throws {
        try await withServer { client, _ in
            let description = try await client.get("/openapi.json").json
            let tags = (description["tags"]?.elements ?? []).compactMap { $0["name"]?.text }
            #expect(tags.count > 8 && Set(tags).count == tags.count && !tags.contains("tilebox"))
            guard case .object(let paths)? = description["paths"] else { throw Missing() }
            var used: Set<String> = []
            for path in paths {
                guard case .object(let methods) = path.value else { throw Missing() }
                for method in methods {
                    let own = (method.value["tags"]?.elements ?? []).compactMap(\.text)
                    #expect(own.count == 1 && tags.contains(own[0]), "\(path.name): \(own)")
                    #expect(method.value["summary"]?.text?.isEmpty == false)
                    used.formUnion(own)
                }
            }
            #expect(used == Set(tags))
            let post = description["paths"]?["/v1/jobs"]?["post"]
            #expect(post?["tags"]?.elements == [.string("jobs")])
            let states = description["paths"]?["/v1/jobs"]?["get"]?["parameters"]?.elements?.first
            #expect(states?["schema"]?["type"]?.text == "array" && states?["explode"] == .bool(true))
        }
    }

    @Test("a server accepts the examples of the description")
    func examples() async throws {
        try await withServer { client, ledger in
            let description = try await client.get("/openapi.json").json
            guard case .object(let paths)? = description["paths"] else { throw Missing() }
            let job = try await client.createJob()
            var accepted: [String] = []
            for path in paths {
                guard let post = path.value["post"], let operation = post["operationId"]?.text,
                    let content = post["requestBody"]?["content"]?["application/json"]
                else { continue }
                let example = try #require(content["example"], "\(operation) has no example")
                // The examples name a job that this ledger does not have.
                let body = try #require(RouteExamples.body(of: operation)).replacing(
                    "01930a10-0000-7000-8000-000000000000", with: job)
                #expect(try JSONReader.read(Array(body.utf8)) == example || operation == "appendEventsOfManyJobs")
                // A login needs a token of the ledger, and a token requires all later requests to have one. A ledger in
                // memory replays nothing.
                guard !["logIn", "createToken", "beginReplay"].contains(operation) else { continue }
                let response = try await client.post(path.name.replacing("{job}", with: job), body)
                #expect(
                    (200..<300).contains(response.status),
                    "\(operation): \(String(decoding: response.body, as: UTF8.self))")
                accepted.append(operation)
            }
            #expect(accepted.count >= 5)
            let token = try #require(RouteExamples.body(of: "createToken"))
            let admin = AccessFixtures.bearer(try await AccessFixtures.token("admin", [.admin], of: ledger))
            let created = try await client.request(
                "POST", "/v1/tokens", headers: admin.merging(["Content-Type": "application/json"]) { $1 },
                body: Array(token.utf8))
            #expect(created.status == 201, "\(String(decoding: created.body, as: UTF8.self))")
        }
    }

    private struct Missing: Error {}
}
