/// A JSON value as the ledger needs it: integers exact whatever their size, strings exact to the scalar, the fields
/// of objects in the order in which they came, each as often as it came.
public enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    /// A number without a fraction, such as `10`, `1e3` or `1.0`.
    case integer(Int128)
    /// Any other number: with a fraction, or too large for anything here.
    case number
    case string(String)
    /// A string with half of a surrogate pair, which is no Unicode text.
    case brokenString
    case array([JSONValue])
    case object([JSONField])

    /// What it is, with an article, for messages.
    var kind: String {
        switch self {
        case .null: "null"
        case .bool: "a boolean"
        case .integer: "an integer"
        case .number: "a number"
        case .string, .brokenString: "a string"
        case .array: "an array"
        case .object: "an object"
        }
    }

    /// The value of the first field of this name, where this is an object.
    public subscript(name: String) -> JSONValue? {
        guard case .object(let fields) = self else { return nil }
        return fields.first { $0.name.utf8.elementsEqual(name.utf8) }?.value
    }

    /// The text, where it is a string.
    public var text: String? { if case .string(let text) = self { text } else { nil } }
    /// The number, where it is an integer.
    public var integer: Int128? { if case .integer(let value) = self { value } else { nil } }
    /// The truth, where it is a boolean.
    public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    /// The elements, where it is an array.
    public var elements: [JSONValue]? { if case .array(let elements) = self { elements } else { nil } }
}

/// A field of an object.
public struct JSONField: Sendable, Equatable {
    public let name: String
    public let value: JSONValue
}
