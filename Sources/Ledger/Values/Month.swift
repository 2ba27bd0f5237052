/// A calendar month in UTC.
///
/// Jobs are grouped by the month of their creation, which their ids contain.
public struct Month: Hashable, Comparable, Sendable {
    /// The number of months since the beginning of year 0.
    private let number: Int

    private init(number: Int) {
        self.number = number
    }

    /// The month that is this many months later, or earlier if negative.
    public func advanced(by months: Int) -> Month { Month(number: number + months) }

    public static func < (left: Month, right: Month) -> Bool { left.number < right.number }
}

extension Month: LosslessStringConvertible {
    /// Parses a year and a month, such as `2026-01`; nil for any other text.
    public init?(_ description: String) {
        let parts = description.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0].utf8.count == 4, parts[1].utf8.count == 2,
            parts.allSatisfy({ $0.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } }),
            let year = Int(parts[0]), let month = Int(parts[1]), (2000...2199).contains(year), (1...12).contains(month)
        else { return nil }
        self.init(number: year * 12 + month - 1)
    }

    /// The year and the month, such as `2026-01`.
    public var description: String {
        let month = number % 12 + 1
        return "\(number / 12)-\(month < 10 ? "0" : "")\(month)"
    }
}
