import Ledger

/// The beginning of a job's id, as a user copies it from a list.
///
/// The first 12 digits of an id are its time of creation in milliseconds: jobs that were created within a minute have
/// the same first 8 digits, and the digits after the version, the 13th, are random.
struct JobIDPrefix: Hashable {
    /// The digits, without hyphens, in lower case.
    let digits: String

    /// The digits of a whole id.
    private static let digitsMax = 32
    /// The positions of the hyphens in an id.
    private static let hyphens: Set<Int> = [8, 13, 18, 23]

    /// Parses up to 32 hexadecimal digits, in either case.
    ///
    /// They have the hyphens of an id, or none.
    ///
    /// Nil for any other text.
    init?(_ text: String) {
        let hasHyphens = text.contains("-")
        var digits = ""
        for (position, character) in text.enumerated() {
            guard !(hasHyphens && Self.hyphens.contains(position)) else {
                guard character == "-" else { return nil }
                continue
            }
            guard character.isASCII, character.isHexDigit else { return nil }
            digits += character.lowercased()
        }
        guard (1...Self.digitsMax).contains(digits.count) else { return nil }
        self.digits = digits
    }

    /// Whether an id begins with these digits.
    func matches(_ job: JobID) -> Bool { job.description.filter { $0 != "-" }.hasPrefix(digits) }

    /// The lowest id above all that begin with these digits; nil if there is none.
    ///
    /// It serves as cursor of a list, newest first: the page begins with the ids that match, if there are any.
    var cursor: JobID? {
        let padded = digits + String(repeating: "f", count: Self.digitsMax - digits.count)
        guard let high = UInt64(padded.prefix(16), radix: 16), let low = UInt64(padded.suffix(16), radix: 16) else {
            return nil
        }
        guard low == .max else { return JobID(high: high, low: low + 1) }
        return high == .max ? nil : JobID(high: high + 1, low: 0)
    }

    /// The shortest length of an id that is shown cut.
    static let shownMin = 8

    /// The shortest length at which the beginnings of these ids differ.
    ///
    /// It is at least ``shownMin``.
    ///
    /// All are shown with the same length: a column is as wide as its longest id, and longer ids remain unambiguous
    /// for longer.
    static func shownLength(of jobs: [JobID]) -> Int {
        let ids = Set(jobs).map { Array($0.description.utf8) }.sorted { $0.lexicographicallyPrecedes($1) }
        let common = zip(ids, ids.dropFirst()).map { left, right in zip(left, right).prefix { $0 == $1 }.count }
        return max(shownMin, (common.max() ?? 0) + 1)
    }
}
