internal import HTTPTypes
internal import Ledger
internal import LedgerWire

/// The parameters of a query, each given once at most, and none that its route does not know.
struct QueryParameters {
    private var values: [(name: String, value: String)] = []

    /// Reads what follows the question mark.
    ///
    /// - Parameter known: Whether the route has a parameter of this name.
    init(_ query: String?, known: (String) -> Bool) throws(HTTPProblem) {
        var problems: [WireProblem] = []
        for part in (query ?? "").utf8.split(separator: UInt8(ascii: "&"))
        where problems.count < RequestError.problemsMax {
            let pair = part.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = Self.decode(pair[0]), let value = Self.decode(pair.count > 1 ? pair[1] : part.suffix(0))
            else {
                problems.append(
                    WireProblem(
                        parameter: String(decoding: pair[0], as: UTF8.self), detail: "is not percent-encoded UTF-8"))
                continue
            }
            if !known(name) {
                problems.append(WireProblem(parameter: name, detail: "is not a parameter of this route"))
            } else if values.contains(where: { $0.name.utf8.elementsEqual(name.utf8) }) {
                problems.append(WireProblem(parameter: name, detail: "is given twice"))
            } else {
                values.append((name, value))
            }
        }
        guard problems.isEmpty else {
            let first = problems[0]
            throw HTTPProblem(
                .unprocessableContent, "Invalid query", "The parameter \(first.parameter ?? "") \(first.detail).",
                errors: problems)
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

    /// The label that a parameter gives; nil where it is empty or absent, which is the default indicator.
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

    /// Where a page of jobs begins.
    func jobCursor() throws(HTTPProblem) -> JobID? {
        guard let text = self["cursor"] else { return nil }
        guard let job = JobID(text) else { throw .invalid(parameter: "cursor", "is not one that a page gave") }
        return job
    }

    func choice<Choice: RawRepresentable & CaseIterable>(
        _ name: String, _ type: Choice.Type
    ) throws(HTTPProblem) -> Choice? where Choice.RawValue == String {
        guard let value = self[name] else { return nil }
        guard let choice = Choice.allCases.first(where: { $0.rawValue.utf8.elementsEqual(value.utf8) }) else {
            throw .invalid(
                parameter: name, "must be one of \(Choice.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        return choice
    }

    /// Parameters whose names begin so: what follows in the name, and the value.
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
