import LedgerTestSupport
import LedgerWire
import Testing

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

    private struct Missing: Error {}
}
