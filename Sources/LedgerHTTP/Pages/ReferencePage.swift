internal import Ledger
internal import LedgerWire

/// The page `/docs`: the description of the interface for people.
///
/// It is made from the JSON of `/openapi.json`, so that the two cannot differ.
struct ReferencePage {
    /// The parsed description.
    private let description: JSONValue

    /// - Parameter text: The description in JSON.
    init(_ text: [UInt8]) throws(JSONError) {
        description = try JSONReader.read(text)
    }

    /// An operation: a method of a path.
    private struct Operation {
        let method: String
        let path: String
        let value: JSONValue

        var id: String { value["operationId"]?.text ?? "" }
        var group: String { value["tags"]?.elements?.first?.text ?? "" }
    }

    var page: Page {
        Page(
            root: .ofJobs, title: "API – progress ledger", icon: "./pages/icon.svg", style: "docs.css",
            script: "session.js",
            body: """
                <header class="top"><nav aria-label="Breadcrumb"><a href="./">Jobs</a></nav></header>
                <div class="docs"><nav class="contents" aria-label="Contents">\(groups.map(contents))\
                <h2><a href="#schemas">Schemas</a></h2></nav>
                <main><h1>\(text(description["info"]?["title"])) API</h1>
                <p>\(text(description["info"]?["description"])) The same for programs: \
                <a href="./openapi.json">openapi.json</a>, OpenAPI \(text(description["openapi"])).</p>
                \(groups.map(section))
                <section><h2 id="schemas">Schemas</h2>\(fields(description["components"]?["schemas"]).map(schema))</section></main></div>
                """, hasTimes: false)
    }

    // MARK: Operations

    private var groups: [JSONValue] { description["tags"]?.elements ?? [] }

    private var operations: [Operation] {
        fields(description["paths"]).flatMap { path in
            fields(path.value).map { Operation(method: $0.name.uppercased(), path: path.name, value: $0.value) }
        }
    }

    private func operations(of group: JSONValue) -> [Operation] {
        operations.filter { $0.group == group["name"]?.text }
    }

    private func contents(_ group: JSONValue) -> HTML {
        let links = operations(of: group).map { operation in
            HTML(
                "<li><a href=\"#\(operation.id)\"><span class=\"method\">\(operation.method)</span> <code>\(operation.path)</code></a></li>"
            )
        }
        return "<h2><a href=\"#group-\(text(group["name"]))\">\(title(group))</a></h2><ul>\(links)</ul>"
    }

    private func title(_ group: JSONValue) -> HTML {
        let name = group["name"]?.text ?? ""
        return "\(name.prefix(1).uppercased() + name.dropFirst())"
    }

    private func section(_ group: JSONValue) -> HTML {
        """
        <section><h2 id="group-\(text(group["name"]))">\(title(group))</h2><p>\(text(group["description"]))</p>
        \(operations(of: group).map(article))</section>
        """
    }

    private func article(_ operation: Operation) -> HTML {
        let value = operation.value
        let parameters = (value["parameters"]?.elements ?? []).map { parameter in
            row(
                parameter["name"], parameter["schema"],
                "\(text(parameter["in"]))\(parameter["required"] == .bool(true) ? ", required" : "")",
                parameter["description"])
        }
        let name: HTML = "\(operation.method) \(operation.path)"
        return """
            <article id="\(operation.id)"><h3><span class="method" data-method="\(operation.method)">\(operation.method)</span> \
            <code>\(operation.path)</code></h3>
            <p>\(text(value["summary"])). <small>\(text(value["description"]))</small></p>\
            \(parameters.isEmpty ? nil : table("Parameters", of: name, ["Parameter", "Type", "In", "Meaning"], parameters))\
            \(body(value["requestBody"]))\
            \(table("Responses", of: name, ["Status", "Meaning", "Body", "Headers"], responses(value, areErrors: false)))\
            \(errors(value, name))</article>
            """
    }

    /// The rows of an operation's responses: of the errors, or of the others.
    private func responses(_ operation: JSONValue, areErrors: Bool) -> [HTML] {
        fields(operation["responses"]).filter { ($0.name >= "400") == areErrors }.map { response in
            let schemas = Set(fields(response.value["content"]).compactMap { $0.value["schema"]?["$ref"]?.text })
            let headers = fields(response.value["headers"]).map { HTML("<code>\($0.name)</code> ") }
            return """
                <tr><th scope="row">\(response.name)</th><td class="meaning">\(text(response.value["description"]))</td>\
                <td>\(schemas.sorted().map { HTML("\(reference($0)) ") })</td><td>\(headers)</td></tr>
                """
        }
    }

    /// The errors of an operation, folded: most operations have the same ones.
    private func errors(_ operation: JSONValue, _ name: HTML) -> HTML? {
        let rows = responses(operation, areErrors: true)
        guard !rows.isEmpty else { return nil }
        return """
            <details><summary>\(rows.count) \(rows.count == 1 ? "error" : "errors")</summary>\
            \(table("Errors", of: name, ["Status", "Meaning", "Body", "Headers"], rows))</details>
            """
    }

    private func body(_ body: JSONValue?) -> HTML? {
        guard let body else { return nil }
        let contents = fields(body["content"])
        let kinds = contents.map { content in
            HTML("<li><code>\(content.name)</code>: \(type(content.value["schema"]))</li>")
        }
        let examples = contents.compactMap { $0.value["example"] }.map { example in
            HTML("<pre tabindex=\"0\"><code>\(Self.pretty(example))</code></pre>")
        }
        return "<h4>Body</h4><ul>\(kinds)</ul>\(examples)"
    }

    // MARK: Schemas

    private func schema(_ schema: JSONField) -> HTML {
        let required = Set((schema.value["required"]?.elements ?? []).compactMap(\.text))
        let rows = fields(schema.value["properties"]).map { field in
            row(
                .string(field.name), field.value, required.contains(field.name) ? "always" : "optional",
                field.value["description"])
        }
        let content: HTML =
            rows.isEmpty
            ? "<p>\(type(schema.value))</p>"
            : table("Fields", of: "\(schema.name)", ["Field", "Type", "", "Meaning"], rows)
        return "<article id=\"schema-\(schema.name)\"><h3>\(schema.name)</h3>\(content)</article>"
    }

    private func row(_ name: JSONValue?, _ schema: JSONValue?, _ remark: HTML, _ meaning: JSONValue?) -> HTML {
        """
        <tr><th scope="row"><code>\(text(name))</code></th><td>\(type(schema))</td><td>\(remark)</td><td class="meaning">\(text(meaning))</td></tr>
        """
    }

    private func table(_ title: HTML, of subject: HTML, _ columns: [String], _ rows: [HTML]) -> HTML {
        let head: [HTML] = columns.map { $0.isEmpty ? "<td></td>" : "<th scope=\"col\">\($0)</th>" }
        return """
            <h4>\(title)</h4><div class="wide" tabindex="0" role="region" aria-label="\(title) of \(subject)"><table><thead><tr>\
            \(head)</tr></thead><tbody>\(rows)</tbody></table></div>
            """
    }

    /// The type of a value in words, with links to schemas.
    private func type(_ schema: JSONValue?) -> HTML {
        guard let schema else { return "anything" }
        if let name = schema["$ref"]?.text { return reference(name) }
        if let kinds = schema["oneOf"]?.elements { return joined(kinds.map { type($0) }, " or ") }
        let names = schema["type"]?.elements?.compactMap(\.text) ?? [schema["type"]?.text].compactMap(\.self)
        guard let name = names.first else { return "anything" }
        let orNull: HTML? = names.contains("null") && name != "null" ? " or null" : nil
        if let choices = schema["enum"]?.elements {
            return "\(joined(choices.compactMap(\.text).map { HTML("<code>\($0)</code>") }, " "))\(orNull)"
        }
        if let element = schema["items"] { return "array of \(type(element))\(orNull)" }
        if let value = schema["additionalProperties"], case .object = value { return "map to \(type(value))\(orNull)" }
        var bounds: [String] = []
        if let format = schema["format"]?.text { bounds.append(format) }
        if let minimum = schema["minimum"]?.integer, let maximum = schema["maximum"]?.integer {
            bounds.append(
                "\(PageText.number(minimum)) … \(maximum == Int128(Int64.max) ? "" : PageText.number(maximum))")
        }
        if let length = schema["maxLength"]?.integer { bounds.append("≤ \(PageText.number(length)) characters") }
        return "\(name)\(orNull)\(bounds.isEmpty ? nil : HTML(" <small>\(bounds.joined(separator: ", "))</small>"))"
    }

    private func reference(_ pointer: String) -> HTML {
        let name = String(pointer.split(separator: "/").last ?? "")
        return "<a href=\"#schema-\(name)\">\(name)</a>"
    }

    private func joined(_ pieces: [HTML], _ separator: HTML) -> HTML {
        HTML(pieces.enumerated().map { $0.offset == 0 ? $0.element : "\(separator)\($0.element)" })
    }

    // MARK: JSON

    private func fields(_ value: JSONValue?) -> [JSONField] {
        guard case .object(let fields)? = value else { return [] }
        return fields
    }

    private func text(_ value: JSONValue?) -> HTML { "\(value?.text ?? "")" }

    /// JSON with line breaks, in which an object or array of plain values is one line.
    private static func pretty(_ value: JSONValue, indent: String = "") -> String {
        let inner = indent + "  "
        switch value {
        case .array(let elements) where !elements.allSatisfy(isPlain):
            return "[\n" + elements.map { inner + pretty($0, indent: inner) }.joined(separator: ",\n") + "\n\(indent)]"
        case .array(let elements): return "[" + elements.map { pretty($0) }.joined(separator: ", ") + "]"
        case .object(let fields):
            return "{" + fields.map { "\"\($0.name)\": \(pretty($0.value, indent: inner))" }.joined(separator: ", ")
                + "}"
        case .string(let text): return "\"\(text)\""
        case .integer(let integer): return "\(integer)"
        case .number(let number): return "\(number)"
        case .bool(let value): return "\(value)"
        case .null, .brokenString: return "null"
        }
    }

    private static func isPlain(_ value: JSONValue) -> Bool {
        switch value {
        case .array, .object: false
        default: true
        }
    }
}
