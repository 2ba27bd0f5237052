/// Encodes the parts of a fold's state that are stored as bytes.
///
/// The numbers are in little-endian base 128 (LEB128), one after the other. Equal states have equal bytes.
struct StateWriter {
    private(set) var bytes: [UInt8] = []

    mutating func write(_ value: Int64) {
        var rest = UInt64(bitPattern: value)
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    /// Writes a number of either sign.
    ///
    /// 0, −1, 1, −2, … are written as 0, 1, 2, 3, …
    mutating func write(signed value: Int64) { write(value << 1 ^ value >> 63) }

    mutating func write(_ sequence: EventSequence) { write(sequence.number) }

    mutating func write(byte: UInt8) { bytes.append(byte) }

    mutating func write(_ value: Int128) {
        var rest = UInt128(bitPattern: value)
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    /// Writes a report, with its number as the difference from the previous one.
    mutating func write(_ entry: ReportNumbers.Entry, after previous: Int64) {
        write(entry.report - previous)
        write(entry.sequence)
        write(entry.indicator.sequence)
        write(entry.total)
        write(entry.done)
    }
}
