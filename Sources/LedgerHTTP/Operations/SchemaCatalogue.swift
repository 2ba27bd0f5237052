internal import Ledger
internal import LedgerWire

/// The schemas of requests and responses, for the description.
enum SchemaCatalogue {
    /// The type of one value.
    indirect enum Kind: Sendable {
        case text(max: Int?)
        case moment
        case integer(ClosedRange<Int64>?)
        /// An integer of any size, such as a sum.
        case sum
        /// A number with a fraction.
        case number
        case bool
        case choice([String])
        case array(Kind)
        case reference(String)
        /// An object with values of one type under any names.
        case map(Kind)
        case nullable(Kind)
        /// One of several schemas, distinguished by the values of a field if there is one.
        case oneOf([Kind], discriminator: Discriminator? = nil)
        case anything

        /// Whether it is an integer of any size, or null.
        fileprivate var isSum: Bool {
            switch self {
            case .sum: true
            case .nullable(let kind): kind.isSum
            default: false
            }
        }
    }

    /// A field that distinguishes schemas, and the schema for each of its values.
    struct Discriminator: Sendable {
        let field: String
        let schemas: [(value: String, schema: String)]
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
                            let description = SchemaGlossary.description(of: field.name, in: name)
                            writer.object { SchemaCatalogue.write(field.kind, describedBy: description, to: &$0) }
                        }
                    }
                    if isClosed { writer.field("additionalProperties", false) }
                }
            }
        }
    }

    /// Writes the fields of a schema.
    ///
    /// - Parameter description: Stands beside the type, or beside a reference, which OpenAPI 3.1 permits.
    static func write(_ kind: Kind, describedBy description: String? = nil, to writer: inout JSONWriter) {
        write(kind, orNull: false, to: &writer)
        let remark = kind.isSum ? "Exact, and of any size" : nil
        let parts = [description, remark].compactMap(\.self)
        if !parts.isEmpty { writer.field("description", parts.joined(separator: ". ")) }
    }

    private static func write(_ kind: Kind, orNull: Bool, to writer: inout JSONWriter) {
        switch kind {
        case .text(let max):
            type("string", orNull, to: &writer)
            if let max { writer.field("maxLength", max) }
        case .moment:
            type("string", orNull, to: &writer)
            writer.field("format", "date-time")
        case .integer(let range):
            type("integer", orNull, to: &writer)
            let isSmall = range.map { $0.upperBound <= Int64(Int32.max) } ?? false
            writer.field("format", isSmall ? "int32" : "int64")
            if let range {
                writer.field("minimum", range.lowerBound)
                writer.field("maximum", range.upperBound)
            }
        case .sum:
            // No format, because generated code would derive a range from it.
            type("integer", orNull, to: &writer)
        case .number: type("number", orNull, to: &writer)
        case .bool: type("boolean", orNull, to: &writer)
        case .choice(let choices):
            type("string", orNull, to: &writer)
            writer.name("enum")
            writer.array(choices.map { Optional($0) } + (orNull ? [nil] : [])) { $0.string($1) }
        case .array(let element):
            type("array", orNull, to: &writer)
            writer.name("items")
            writer.object { write(element, to: &$0) }
        case .map(let value):
            type("object", orNull, to: &writer)
            writer.name("additionalProperties")
            writer.object { write(value, to: &$0) }
        case .nullable(let kind): write(kind, orNull: true, to: &writer)
        case .reference, .oneOf:
            if orNull {
                oneOf([kind, nil], to: &writer)
            } else if case .reference(let name) = kind {
                writer.field("$ref", "#/components/schemas/\(name)")
            } else if case .oneOf(let kinds, let discriminator) = kind {
                oneOf(kinds, to: &writer)
                if let discriminator { write(discriminator, to: &writer) }
            }
        case .anything: break
        }
    }

    private static func type(_ name: String, _ orNull: Bool, to writer: inout JSONWriter) {
        guard orNull else { return writer.field("type", name) }
        writer.name("type")
        writer.array([name, "null"]) { $0.string($1) }
    }

    private static func oneOf(_ kinds: [Kind?], to writer: inout JSONWriter) {
        writer.name("oneOf")
        writer.array(kinds) { writer, kind in
            writer.object { writer in
                if let kind { write(kind, to: &writer) } else { writer.field("type", "null") }
            }
        }
    }

    private static func write(_ discriminator: Discriminator, to writer: inout JSONWriter) {
        writer.name("discriminator")
        writer.object { writer in
            writer.field("propertyName", discriminator.field)
            writer.name("mapping")
            writer.object { writer in
                for (value, schema) in discriminator.schemas {
                    writer.field(value, "#/components/schemas/\(schema)")
                }
            }
        }
    }
}
