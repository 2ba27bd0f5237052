internal import HTTPTypes
internal import Ledger
internal import LedgerWire

/// `/openapi.json`: the description of all routes, made from the table that the router is made from.
enum DescriptionRoute {
    static func route(describing routes: [Route]) -> Route {
        var own = Route(
            method: .get, path: "/openapi.json", operation: "description", summary: "This description",
            outcomes: [Route.Outcome(status: 200, description: "OpenAPI 3.1", schema: "Description")],
            handle: { _ in throw HTTPProblem(.internalServerError, "No description", "The description was not made.") })
        let text = text(routes + [own])
        own.handle = { _ in Answer(status: .ok, contentType: "application/json", bytes: text) }
        return own
    }

    private static func text(_ routes: [Route]) -> [UInt8] {
        var writer = JSONWriter()
        writer.object { writer in
            writer.field("openapi", "3.1.0")
            writer.name("info")
            writer.object { writer in
                writer.field("title", "Progress ledger")
                writer.field("version", "1")
                writer.field(
                    "description",
                    "How far is a distributed job, and is that number true? Errors are problem+json (RFC 9457).")
            }
            writer.name("paths")
            writer.object { writer in
                var paths: [String] = []
                for route in routes where !paths.contains(route.path) { paths.append(route.path) }
                for path in paths {
                    writer.name(path)
                    writer.object { writer in
                        for route in routes where route.path == path { write(route, to: &writer) }
                    }
                }
            }
            writer.name("components")
            writer.object { writer in
                writer.name("schemas")
                writer.object { writer in
                    for schema in SchemaCatalogue.schemas { schema.write(to: &writer) }
                }
            }
        }
        writer.newLine()
        return writer.bytes
    }

    private static func write(_ route: Route, to writer: inout JSONWriter) {
        writer.name(route.method.rawValue.lowercased())
        writer.object { writer in
            writer.field("operationId", route.operation)
            writer.field("summary", route.summary)
            writeParameters(of: route, to: &writer)
            if let body = route.body {
                writer.name("requestBody")
                writer.object { writer in
                    writer.field("required", true)
                    writer.name("content")
                    writer.object { writer in
                        content("application/json", schema: body.schema, to: &writer)
                        if body.takesLines { content("application/x-ndjson", schema: "Text", to: &writer) }
                    }
                }
            }
            writer.name("responses")
            writer.object { writer in
                for outcome in route.outcomes {
                    writer.name(String(outcome.status))
                    writer.object { writer in
                        writer.field("description", outcome.description)
                        guard let schema = outcome.schema else { return }
                        writer.name("content")
                        writer.object { content(outcome.mediaType, schema: schema, to: &$0) }
                    }
                }
            }
        }
    }

    private static func writeParameters(of route: Route, to writer: inout JSONWriter) {
        let inQuery = route.parameters.map { (place: "query", parameter: $0) }
        let inPath = route.pathParameter.map {
            (place: "path", parameter: Route.Parameter(name: $0.name, type: .string, description: $0.description))
        }
        let parameters = inQuery + [inPath].compactMap { $0 }
        guard !parameters.isEmpty else { return }
        writer.name("parameters")
        writer.array(parameters) { writer, entry in
            writer.object { writer in
                writer.field("name", entry.parameter.name)
                writer.field("in", entry.place)
                writer.field("required", entry.place == "path")
                writer.field("description", entry.parameter.description)
                writer.name("schema")
                writer.object { writer in write(entry.parameter.type, to: &writer) }
            }
        }
    }

    private static func write(_ kind: Route.Parameter.Kind, to writer: inout JSONWriter) {
        switch kind {
        case .string, .prefix:
            writer.field("type", "string")
        case .integer(let range):
            writer.field("type", "integer")
            writer.field("minimum", range.lowerBound)
            writer.field("maximum", range.upperBound)
        case .choice(let choices):
            writer.field("type", "string")
            writer.name("enum")
            writer.array(choices) { $0.string($1) }
        }
    }

    private static func content(_ mediaType: String, schema: String, to writer: inout JSONWriter) {
        writer.name(mediaType)
        writer.object { writer in
            writer.name("schema")
            writer.object { $0.field("$ref", "#/components/schemas/\(schema)") }
        }
    }
}
