package import Ledger

/// Reads the fields of one object and records all errors.
package struct FieldReader {
    private let fields: [JSONField]
    private let prefix: String
    private var isUsed: [Bool]

    /// Creates a reader; nil, with a problem recorded, if the value is not an object.
    ///
    /// - Parameter prefix: The pointer of the object: empty at the top, `/2` for the third element of an array.
    package init?(_ value: JSONValue, prefix: String, _ errors: inout FieldErrorList) {
        guard case .object(let fields) = value else {
            errors.add(prefix, "must be an object, not \(value.kind)")
            return nil
        }
        self.fields = fields
        self.prefix = prefix
        isUsed = Array(repeating: false, count: fields.count)
        var names = Set<Name>(minimumCapacity: fields.count)
        for field in fields where !names.insert(Name(field.name)).inserted {
            errors.add(pointer(field.name), "is given twice")
        }
    }

    func pointer(_ field: String) -> String { "\(prefix)/\(Name(field).jsonPointerToken)" }

    /// Returns the value of a field; nil if it is absent or null.
    private mutating func value(_ name: String) -> JSONValue? {
        var found: JSONValue?
        for (index, field) in fields.enumerated() where field.name.utf8.elementsEqual(name.utf8) {
            isUsed[index] = true
            if found == nil, field.value != .null { found = field.value }
        }
        return found
    }

    mutating func name(_ field: String, _ errors: inout FieldErrorList) -> Name? {
        switch value(field) {
        case nil: return nil
        case .string(let text): return Name(text)
        case .brokenString:
            errors.add(pointer(field), "contains a lone surrogate, which is not Unicode text")
        case .some(let other):
            errors.add(pointer(field), "must be a string, not \(other.kind)")
        }
        return nil
    }

    package mutating func requiredName(_ field: String, _ errors: inout FieldErrorList) -> Name? {
        let before = errors.count
        let name = name(field, &errors)
        if name == nil, errors.count == before { errors.add(pointer(field), "is missing") }
        return name
    }

    mutating func integer(_ field: String, in range: ClosedRange<Int64>, _ errors: inout FieldErrorList) -> Int64? {
        switch value(field) {
        case nil: return nil
        case .integer(let value):
            if let small = Int64(exactly: value), range.contains(small) { return small }
            errors.add(.outside(range, pointer: pointer(field)))
        case .number:
            errors.add(.outside(range, pointer: pointer(field)))
        case .some(let other):
            errors.add(pointer(field), "must be an integer, not \(other.kind)")
        }
        return nil
    }

    mutating func timestamp(_ field: String, _ errors: inout FieldErrorList) -> Timestamp? {
        guard let text = name(field, &errors) else { return nil }
        guard let moment = RFC3339.timestamp(text.text) else {
            errors.add(pointer(field), "must be an RFC 3339 time, such as 2026-11-23T17:30:00.000000Z")
            return nil
        }
        return moment
    }

    mutating func choice<Choice>(
        _ field: String, _ choices: [(name: String, value: Choice)], _ errors: inout FieldErrorList
    ) -> Choice? {
        requiredName(field, &errors).flatMap { choose($0, at: pointer(field), choices, &errors) }
    }

    mutating func choiceIfPresent<Choice>(
        _ field: String, _ choices: [(name: String, value: Choice)], _ errors: inout FieldErrorList
    ) -> Choice? {
        name(field, &errors).flatMap { choose($0, at: pointer(field), choices, &errors) }
    }

    /// Returns the values of an array of choices.
    ///
    /// Records a problem if it is missing or invalid.
    package mutating func choices<Choice>(
        _ field: String, _ choices: [(name: String, value: Choice)], _ errors: inout FieldErrorList
    ) -> [Choice] {
        var found: [Choice] = []
        for (index, element) in array(field, &errors).enumerated() {
            guard let text = element.text else {
                errors.add("\(pointer(field))/\(index)", "must be a string, not \(element.kind)")
                continue
            }
            if let choice = choose(Name(text), at: "\(pointer(field))/\(index)", choices, &errors) {
                found.append(choice)
            }
        }
        return found
    }

    private func choose<Choice>(
        _ name: Name, at pointer: String, _ choices: [(name: String, value: Choice)], _ errors: inout FieldErrorList
    ) -> Choice? {
        if let choice = choices.first(where: { $0.name.utf8.elementsEqual(name.text.utf8) }) { return choice.value }
        errors.add(pointer, "must be one of \(choices.map(\.name).joined(separator: ", "))")
        return nil
    }

    /// Returns a value to be read as an object; nil if it is missing.
    mutating func object(_ field: String) -> JSONValue? { value(field) }

    /// Returns the elements of an array; empty if it is missing.
    package mutating func array(_ field: String, _ errors: inout FieldErrorList) -> [JSONValue] {
        guard let value = value(field) else {
            errors.add(pointer(field), "is missing")
            return []
        }
        guard case .array(let elements) = value else {
            errors.add(pointer(field), "must be an array, not \(value.kind)")
            return []
        }
        return elements
    }

    mutating func bool(_ field: String, _ errors: inout FieldErrorList) -> Bool? {
        switch value(field) {
        case nil: return nil
        case .bool(let value): return value
        case .some(let other):
            errors.add(pointer(field), "must be true or false, not \(other.kind)")
            return nil
        }
    }

    mutating func job(_ field: String, _ errors: inout FieldErrorList) -> JobID? {
        guard let text = name(field, &errors) else { return nil }
        guard let job = JobID(text.text) else {
            errors.add(pointer(field), "must be a job id")
            return nil
        }
        return job
    }

    package mutating func tags(_ field: String, _ errors: inout FieldErrorList) -> [Name: Name] {
        guard let value = value(field) else { return [:] }
        guard case .object(let fields) = value else {
            errors.add(pointer(field), "must be an object of strings, not \(value.kind)")
            return [:]
        }
        var tags: [Name: Name] = [:]
        for tag in fields {
            func tagPointer() -> String { "\(pointer(field))/\(Name(tag.name).jsonPointerToken)" }
            switch tag.value {
            case .string(let text):
                if tags.updateValue(Name(text), forKey: Name(tag.name)) != nil {
                    errors.add(tagPointer(), "is given twice")
                }
            case .brokenString:
                errors.add(tagPointer(), "contains a lone surrogate, which is not Unicode text")
            default:
                errors.add(tagPointer(), "must be a string, not \(tag.value.kind)")
            }
        }
        return tags
    }

    /// Records a problem for each field that was not read.
    package func finish(_ subject: String, _ errors: inout FieldErrorList) {
        for (index, field) in fields.enumerated() where !isUsed[index] {
            guard !errors.isFull else { return }
            errors.add(pointer(field.name), "\(subject) has no such field")
        }
    }
}
