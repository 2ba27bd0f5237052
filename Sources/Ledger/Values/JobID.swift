/// The id of a job: a UUIDv7 (RFC 9562, section 5.7).
///
/// Ids therefore sort by creation time.
public struct JobID: Hashable, Comparable, Sendable {
    /// The first eight bytes, big-endian.
    ///
    /// 48 bits of milliseconds since 1970, the version, and 12 further bits.
    public let high: UInt64
    /// The last eight bytes, big-endian: the variant and 62 bits.
    public let low: UInt64

    /// Creates an id from these 128 bits.
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Creates an id for a job created at this moment, with the caller's random bits.
    ///
    /// - Parameters:
    ///   - moment: The creation time; its milliseconds become the first 48 bits.
    ///   - randomHigh: 12 random bits (the others are ignored).
    ///   - randomLow: 62 random bits (the others are ignored).
    public init(createdAt moment: Timestamp, randomHigh: UInt64, randomLow: UInt64) {
        let milliseconds = UInt64(clamping: moment.microseconds / 1_000) & 0xFFFF_FFFF_FFFF
        self.init(
            high: milliseconds << 16 | 0x7000 | (randomHigh & 0x0FFF),
            low: 0x8000_0000_0000_0000 | (randomLow & 0x3FFF_FFFF_FFFF_FFFF))
    }

    /// Creates the lowest id of a job created in the millisecond of this moment.
    public init(startOf moment: Timestamp) {
        self.init(high: UInt64(clamping: moment.microseconds / 1_000) << 16, low: 0)
    }

    /// The moment of the job's creation, to the millisecond.
    public var createdAt: Timestamp { Timestamp(microseconds: Int64(high >> 16) * 1_000) }

    /// Parses 8-4-4-4-12 hexadecimal digits in either case; nil for any other text.
    public init?(_ text: String) {
        var high: UInt64 = 0
        var low: UInt64 = 0
        var digits = 0
        var position = 0
        for byte in text.utf8 {
            defer { position += 1 }
            if position == 8 || position == 13 || position == 18 || position == 23 {
                guard byte == UInt8(ascii: "-") else { return nil }
                continue
            }
            guard digits < 32, let digit = Self.value(ofHexadecimalDigit: byte) else { return nil }
            if digits < 16 { high = high << 4 | digit } else { low = low << 4 | digit }
            digits += 1
        }
        guard digits == 32, position == 36 else { return nil }
        self.init(high: high, low: low)
    }

    private static func value(ofHexadecimalDigit byte: UInt8) -> UInt64? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt64(byte - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt64(byte - UInt8(ascii: "a") + 10)
        case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt64(byte - UInt8(ascii: "A") + 10)
        default: nil
        }
    }

    public static func < (left: JobID, right: JobID) -> Bool {
        (left.high, left.low) < (right.high, right.low)
    }

    /// The sixteen bytes, most significant first.
    public var bytes: [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: high >> (56 - 8 * $0)) }
            + (0..<8).map { UInt8(truncatingIfNeeded: low >> (56 - 8 * $0)) }
    }
}

extension JobID: CustomStringConvertible {
    /// 8-4-4-4-12 hexadecimal digits in lower case.
    public var description: String {
        let alphabet = Array("0123456789abcdef".utf8)
        return String(unsafeUninitializedCapacity: 36) { buffer in
            var position = 0
            for (index, byte) in bytes.enumerated() {
                if index == 4 || index == 6 || index == 8 || index == 10 {
                    buffer[position] = UInt8(ascii: "-")
                    position += 1
                }
                buffer[position] = alphabet[Int(byte >> 4)]
                buffer[position + 1] = alphabet[Int(byte & 15)]
                position += 2
            }
            return 36
        }
    }
}
