internal import LedgerWire

/// A path to a value in nested JSON objects (RFC 6901).
struct JSONPointer: Hashable, Sendable {
    private let names: [String]

    /// Parses a pointer to a field; nil if the text is not one.
    init?(_ text: String) {
        guard text.hasPrefix("/") else { return nil }
        var names: [String] = []
        for token in text.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
            let parts = token.split(separator: "~", omittingEmptySubsequences: false)
            guard parts.dropFirst().allSatisfy({ $0.hasPrefix("0") || $0.hasPrefix("1") }) else { return nil }
            names.append(
                parts.dropFirst().reduce(String(parts[0])) { $0 + ($1.hasPrefix("0") ? "~" : "/") + $1.dropFirst() })
        }
        self.names = names
    }

    /// Returns the value at this path; nil if there is none.
    func value(in object: JSONValue) -> JSONValue? {
        names.reduce(object as JSONValue?) { $0?[$1] }
    }
}
