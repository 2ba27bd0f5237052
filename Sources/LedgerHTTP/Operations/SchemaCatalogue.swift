internal import Ledger
internal import LedgerWire

/// What requests and answers look like, for the description.
enum SchemaCatalogue {
    /// The type of one value.
    indirect enum Kind: Sendable {
        case text(max: Int?)
        case moment
        case integer(ClosedRange<Int64>?)
        case bool
        case choice([String])
        case array(Kind)
        case reference(String)
        /// An object with values of one type under any names.
        case map(Kind)
        case nullable(Kind)
        case oneOf([Kind])
        case anything
    }

    /// A field of an object.
    struct Field: Sendable {
        let name: String
        let kind: Kind
        let isRequired: Bool

        init(_ name: String, _ kind: Kind, required: Bool = true) {
            self.name = name
            self.kind = kind
            isRequired = required
        }
    }

    struct Schema: Sendable {
        let name: String
        let content: Content

        enum Content: Sendable {
            case object([Field], isClosed: Bool)
            case alias(Kind)
        }

        func write(to writer: inout JSONWriter) {
            writer.name(name)
            writer.object { writer in
                switch content {
                case .alias(let kind): SchemaCatalogue.write(kind, to: &writer)
                case .object(let fields, let isClosed):
                    writer.field("type", "object")
                    let required = fields.filter(\.isRequired).map(\.name)
                    if !required.isEmpty {
                        writer.name("required")
                        writer.array(required) { $0.string($1) }
                    }
                    writer.name("properties")
                    writer.object { writer in
                        for field in fields {
                            writer.name(field.name)
                            writer.object { SchemaCatalogue.write(field.kind, to: &$0) }
                        }
                    }
                    if isClosed { writer.field("additionalProperties", false) }
                }
            }
        }
    }

    private static func write(_ kind: Kind, to writer: inout JSONWriter) {
        switch kind {
        case .text(let max):
            writer.field("type", "string")
            if let max { writer.field("maxLength", max) }
        case .moment:
            writer.field("type", "string")
            writer.field("format", "date-time")
        case .integer(let range):
            writer.field("type", "integer")
            if let range {
                writer.field("minimum", range.lowerBound)
                writer.field("maximum", range.upperBound)
            }
        case .bool: writer.field("type", "boolean")
        case .choice(let choices):
            writer.field("type", "string")
            writer.name("enum")
            writer.array(choices) { $0.string($1) }
        case .array(let element):
            writer.field("type", "array")
            writer.name("items")
            writer.object { write(element, to: &$0) }
        case .reference(let name): writer.field("$ref", "#/components/schemas/\(name)")
        case .map(let value):
            writer.field("type", "object")
            writer.name("additionalProperties")
            writer.object { write(value, to: &$0) }
        case .nullable(let kind): write(.oneOf([kind]), orNull: true, to: &writer)
        case .oneOf(let kinds): write(.oneOf(kinds), orNull: false, to: &writer)
        case .anything: writer.field("description", "Anything")
        }
    }

    private static func write(_ kind: Kind, orNull: Bool, to writer: inout JSONWriter) {
        guard case .oneOf(let kinds) = kind else { return }
        writer.name("anyOf")
        writer.array(kinds.map { Optional($0) } + (orNull ? [nil] : [])) { writer, kind in
            writer.object { writer in
                if let kind { write(kind, to: &writer) } else { writer.field("type", "null") }
            }
        }
    }
}
