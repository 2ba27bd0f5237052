internal import HTTPTypes
internal import Ledger
internal import LedgerWire

/// The validated parameters of a query.
///
/// Each is a parameter of the route and has an allowed value. Only a repeatable one occurs more than once.
struct QueryParameters {
    private var values: [(name: String, value: String)] = []

    /// Parses and checks the text after the question mark.
    ///
    /// - Parameter routeParameters: The parameters of the route.
    /// - Throws: A problem that lists all invalid parameters, at most ``RequestError/errorsMax``.
    init(_ query: String?, _ routeParameters: [Route.Parameter]) throws(HTTPProblem) {
        var errors: [FieldError] = []
        var names: Set<Name> = []
        for part in (query ?? "").utf8.split(separator: UInt8(ascii: "&"))
        where errors.count < RequestError.errorsMax {
            let pair = part.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = Self.decode(pair[0]), let value = Self.decode(pair.count > 1 ? pair[1] : part.suffix(0))
            else {
                errors.append(
                    FieldError(
                        parameter: String(decoding: pair[0], as: UTF8.self), detail: "is not percent-encoded UTF-8"))
                continue
            }
            let parameter = routeParameters.first { $0.matches(name) }
            if !names.insert(Name(name)).inserted, parameter?.isRepeatable != true {
                errors.append(FieldError(parameter: name, detail: "occurs twice"))
            } else if let parameter {
                values.append((name, value))
                if let detail = parameter.type.problem(of: value) ?? Name(name).nulProblem {
                    errors.append(FieldError(parameter: name, detail: detail))
                }
            } else {
                errors.append(FieldError(parameter: name, detail: "is not a parameter of this route"))
            }
        }
        guard errors.isEmpty else {
            let first = errors[0]
            let more = errors.count > 1 ? ", and \(errors.count - 1) more are invalid" : ""
            throw HTTPProblem(
                .unprocessableContent, "Invalid query",
                "The parameter \(first.parameter ?? "") \(first.detail)\(more).", errors: errors)
        }
    }

    private static func decode(_ part: Substring.UTF8View) -> String? {
        var bytes: [UInt8] = []
        var iterator = part.makeIterator()
        while let byte = iterator.next() {
            switch byte {
            case UInt8(ascii: "+"): bytes.append(UInt8(ascii: " "))
            case UInt8(ascii: "%"):
                guard let high = iterator.next().flatMap(digit), let low = iterator.next().flatMap(digit) else {
                    return nil
                }
                bytes.append(high << 4 | low)
            default: bytes.append(byte)
            }
        }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        Character(Unicode.Scalar(byte)).hexDigitValue.map { UInt8($0) }
    }

    subscript(name: String) -> String? {
        values.first { $0.name.utf8.elementsEqual(name.utf8) }?.value
    }

    func name(_ name: String) throws(HTTPProblem) -> Name? {
        guard let value = self[name] else { return nil }
        guard !value.utf8.contains(0) else { throw .invalid(parameter: name, "must not contain U+0000") }
        return Name(value)
    }

    /// The label in a parameter; nil for the default indicator (empty or absent).
    func label(_ name: String) throws(HTTPProblem) -> Name? {
        try self.name(name).flatMap { $0.text.utf8.isEmpty ? nil : $0 }
    }

    func integer(_ name: String, in range: ClosedRange<Int64>) throws(HTTPProblem) -> Int64? {
        guard let value = self[name] else { return nil }
        guard let integer = Int64(value), range.contains(integer) else {
            throw .invalid(parameter: name, "must be an integer from \(range.lowerBound) to \(range.upperBound)")
        }
        return integer
    }

    func sequence(_ name: String, from first: EventSequence = .start) throws(HTTPProblem) -> EventSequence? {
        try integer(name, in: first.number...Int64.max).map { EventSequence($0) }
    }

    /// The job after which a page of jobs begins; nil for the first page.
    func jobCursor() throws(HTTPProblem) -> JobID? {
        guard let text = self["cursor"] else { return nil }
        guard let job = JobID(text) else { throw .invalid(parameter: "cursor", "is not a next_cursor of a page") }
        return job
    }

    /// The time in a parameter; nil if absent.
    func moment(_ name: String) throws(HTTPProblem) -> Timestamp? {
        guard let value = self[name] else { return nil }
        guard let moment = RFC3339.timestamp(value) else {
            throw .invalid(parameter: name, Route.Parameter.Kind.momentProblem(of: value))
        }
        return moment
    }

    /// All values of a parameter that may be repeated.
    func all(_ name: String) -> [String] { values.filter { $0.name.utf8.elementsEqual(name.utf8) }.map(\.value) }

    /// The choices in a parameter that may be repeated.
    func choices<Choice: RawRepresentable & CaseIterable & Hashable>(
        _ name: String, _ type: Choice.Type, ignoringEmpty: Bool = false
    ) throws(HTTPProblem) -> Set<Choice> where Choice.RawValue == String {
        var choices: Set<Choice> = []
        for value in all(name) where !(ignoringEmpty && value.isEmpty) {
            choices.insert(try Self.choice(value, name, type))
        }
        return choices
    }

    func choice<Choice: RawRepresentable & CaseIterable>(
        _ name: String, _ type: Choice.Type
    ) throws(HTTPProblem) -> Choice? where Choice.RawValue == String {
        guard let value = self[name] else { return nil }
        return try Self.choice(value, name, type)
    }

    private static func choice<Choice: RawRepresentable & CaseIterable>(
        _ value: String, _ name: String, _ type: Choice.Type
    ) throws(HTTPProblem) -> Choice where Choice.RawValue == String {
        guard let choice = Choice.allCases.first(where: { $0.rawValue.utf8.elementsEqual(value.utf8) }) else {
            throw .invalid(
                parameter: name, "must be one of \(Choice.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        return choice
    }

    /// Whether the parameter is `true`; false without it.
    func flag(_ name: String) throws(HTTPProblem) -> Bool { try choice(name, Flag.self) == .true }

    /// The values of a parameter that is on or off.
    enum Flag: String, CaseIterable {
        case `true`, `false`
    }

    /// The parameters with this prefix: the rest of each name, and its value.
    func names(withPrefix prefix: String) throws(HTTPProblem) -> [Name: Name] {
        var found: [Name: Name] = [:]
        for (name, value) in values where name.utf8.starts(with: prefix.utf8) {
            guard let rest = String(name.utf8.dropFirst(prefix.utf8.count)), !rest.utf8.contains(0),
                !value.utf8.contains(0)
            else { throw .invalid(parameter: name, "must not contain U+0000") }
            found[Name(rest)] = Name(value)
        }
        return found
    }
}

extension Route.Parameter {
    /// Whether a parameter of this name belongs to this one.
    fileprivate func matches(_ name: String) -> Bool {
        if case .prefix = type { return name.utf8.starts(with: self.name.utf8) }
        return name.utf8.elementsEqual(self.name.utf8)
    }
}

extension Route.Parameter.Kind {
    /// The problem of a text that is not a time.
    ///
    /// It has a hint if the query turned the plus sign of an offset into a space.
    static func momentProblem(of text: String) -> String {
        let problem = "must be an RFC 3339 time, such as 2026-11-23T17:30:00.000000Z"
        guard let space = text.lastIndex(of: " ") else { return problem }
        let corrected = text[..<space] + "+" + text[text.index(after: space)...]
        return RFC3339.timestamp(String(corrected)) == nil ? problem : "\(problem); encode the + of its offset as %2B"
    }

    /// The problem of a value; nil if it is valid.
    fileprivate func problem(of value: String) -> String? {
        switch self {
        case .string, .prefix: return Name(value).nulProblem
        case .moment: return RFC3339.timestamp(value) == nil ? Self.momentProblem(of: value) : nil
        case .integer(let range):
            guard let integer = Int64(value), range.contains(integer) else {
                return "must be an integer from \(range.lowerBound) to \(range.upperBound)"
            }
        case .choice(let choices):
            guard choices.contains(where: { $0.utf8.elementsEqual(value.utf8) }) else {
                return "must be one of \(choices.joined(separator: ", "))"
            }
        }
        return nil
    }
}

extension Name {
    fileprivate var nulProblem: String? { containsNUL ? "must not contain U+0000" : nil }
}
