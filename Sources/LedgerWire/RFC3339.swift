public import Ledger

/// Conversion between moments and text in RFC 3339 format.
public enum RFC3339 {
    /// Returns the moment in UTC with microseconds: `2026-11-23T17:30:00.000000Z`.
    public static func text(_ moment: Timestamp) -> String {
        let (date, rest) = parts(moment)
        let seconds = rest / 1_000_000
        return pad(date.year, 4) + "-" + pad(date.month, 2) + "-" + pad(date.day, 2) + "T" + pad(seconds / 3_600, 2)
            + ":" + pad(seconds / 60 % 60, 2) + ":" + pad(seconds % 60, 2) + "." + pad(rest % 1_000_000, 6) + "Z"
    }

    /// The length of the text of a moment in the years 0 to 9999.
    static let textLength = 27

    /// Overwrites bytes with the text of a moment in the years 0 to 9999.
    ///
    /// Allocates no memory and costs about 20 ns.
    ///
    /// - Precondition: There are ``textLength`` bytes from the index on.
    static func write(_ moment: Timestamp, over bytes: inout [UInt8], at index: Int) {
        let (date, rest) = parts(moment)
        let seconds = rest / 1_000_000
        bytes.withUnsafeMutableBufferPointer { bytes in
            var position = index
            func put(_ value: Int64, _ digits: Int, _ end: Unicode.Scalar) {
                var value = value
                for offset in (position..<position + digits).reversed() {
                    bytes[offset] = 0x30 + UInt8(truncatingIfNeeded: value % 10)
                    value /= 10
                }
                bytes[position + digits] = UInt8(ascii: end)
                position += digits + 1
            }
            put(date.year, 4, "-")
            put(date.month, 2, "-")
            put(date.day, 2, "T")
            put(seconds / 3_600, 2, ":")
            put(seconds / 60 % 60, 2, ":")
            put(seconds % 60, 2, ".")
            put(rest % 1_000_000, 6, "Z")
        }
    }

    /// The date of a moment, and the microseconds since the beginning of that day.
    private static func parts(_ moment: Timestamp) -> (date: (year: Int64, month: Int64, day: Int64), rest: Int64) {
        let day: Int64 = 86_400_000_000
        let days = moment.microseconds.dividedDown(by: day)
        return (civil(days), moment.microseconds - days * day)
    }

    /// Parses a moment with any offset and any number of fraction digits.
    ///
    /// Digits beyond microseconds are dropped. Returns nil for any other text, and for a leap second, which neither
    /// PostgreSQL nor Swift can distinguish from the following second.
    public static func timestamp(_ text: String) -> Timestamp? {
        var text = text
        return text.withUTF8 { timestamp(utf8: $0) }
    }

    /// Parses a moment directly from bytes.
    static func timestamp(utf8 bytes: UnsafeBufferPointer<UInt8>) -> Timestamp? {
        var reader = Reader(bytes: bytes)
        guard let year = reader.number(4), reader.take("-"), let month = reader.number(2), reader.take("-"),
            let day = reader.number(2), reader.take("T") || reader.take("t") || reader.take(" "),
            let hour = reader.number(2), reader.take(":"), let minute = reader.number(2), reader.take(":"),
            let second = reader.number(2)
        else { return nil }
        guard (1...12).contains(month), day >= 1, day <= length(of: month, year), hour < 24, minute < 60, second < 60
        else { return nil }
        guard let microseconds = reader.fraction(), let offset = reader.offset(), reader.isAtEnd else { return nil }
        let days = dayNumber(year, month, day)
        let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - offset
        return Timestamp(microseconds: seconds * 1_000_000 + microseconds)
    }

    private struct Reader {
        let bytes: UnsafeBufferPointer<UInt8>
        var position = 0

        var isAtEnd: Bool { position == bytes.count }

        mutating func take(_ character: Unicode.Scalar) -> Bool {
            guard position < bytes.count, UInt32(bytes[position]) == character.value else { return false }
            position += 1
            return true
        }

        mutating func digit() -> Int64? {
            guard position < bytes.count, (0x30...0x39).contains(bytes[position]) else { return nil }
            defer { position += 1 }
            return Int64(bytes[position] - 0x30)
        }

        mutating func number(_ count: Int) -> Int64? {
            var value: Int64 = 0
            for _ in 0..<count {
                guard let digit = digit() else { return nil }
                value = value * 10 + digit
            }
            return value
        }

        mutating func fraction() -> Int64? {
            guard take(".") else { return 0 }
            var value: Int64 = 0
            var count = 0
            while let digit = digit() {
                count += 1
                if count <= 6 { value = value * 10 + digit }
            }
            guard count > 0 else { return nil }
            for _ in min(count, 6)..<6 { value *= 10 }
            return value
        }

        mutating func offset() -> Int64? {
            if take("Z") || take("z") { return 0 }
            let sign: Int64
            if take("+") { sign = 1 } else if take("-") { sign = -1 } else { return nil }
            guard let hours = number(2), take(":"), let minutes = number(2), hours < 24, minutes < 60 else {
                return nil
            }
            return sign * (hours * 3_600 + minutes * 60)
        }
    }

    // The calendar is the proleptic Gregorian one, computed in eras of 400 years that begin on 1 March.

    private static func dayNumber(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = shifted.dividedDown(by: 400)
        let yearOfEra = shifted - era * 400
        let monthFromMarch = (month + 9) % 12
        let dayOfYear = (153 * monthFromMarch + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    private static func civil(_ days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = shifted.dividedDown(by: 146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * monthFromMarch + 2) / 5 + 1)
    }

    private static func length(of month: Int64, _ year: Int64) -> Int64 {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    private static func pad(_ value: Int64, _ width: Int) -> String {
        let digits = String(value)
        return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }
}

extension Int64 {
    fileprivate func dividedDown(by divisor: Int64) -> Int64 {
        let quotient = self / divisor
        return self % divisor < 0 ? quotient - 1 : quotient
    }
}
