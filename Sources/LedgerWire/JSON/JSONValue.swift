/// A JSON value that loses nothing the ledger needs.
///
/// Integers are exact at any size, strings are exact to the scalar, and objects keep the order and the repetitions of
/// their fields.
public enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    /// A number without a fraction, such as `10`, `1e3` or `1.0`.
    case integer(Int128)
    /// Any other number, rounded: with a fraction, or larger than any valid value.
    case number(Double)
    case string(String)
    /// A string with a lone surrogate, which is not Unicode text.
    case brokenString
    case array([JSONValue])
    case object([JSONField])

    /// The kind of value, with an article, for messages.
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

    /// The value of the first field with this name, if this is an object.
    public subscript(name: String) -> JSONValue? {
        guard case .object(let fields) = self else { return nil }
        return fields.first { $0.name.utf8.elementsEqual(name.utf8) }?.value
    }

    /// The text, if it is a string.
    public var text: String? { if case .string(let text) = self { text } else { nil } }
    /// The number, if it is an integer.
    public var integer: Int128? { if case .integer(let value) = self { value } else { nil } }
    /// The number, if it is one; an integer is rounded.
    public var number: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }
    /// The Boolean, if it is one.
    public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    /// The elements, if it is an array.
    public var elements: [JSONValue]? { if case .array(let elements) = self { elements } else { nil } }
}

/// A field of an object.
public struct JSONField: Sendable, Equatable {
    public let name: String
    public let value: JSONValue
}
