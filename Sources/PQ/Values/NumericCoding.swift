/// Converts integers to and from the binary format of `numeric`.
///
/// The format (src/backend/utils/adt/numeric.c, `numeric_send`) consists of digits in base 10,000, most significant
/// first, without trailing zeros.
enum NumericCoding {
    private static let base: UInt128 = 10_000
    private static let negativeSign: UInt16 = 0x4000

    static func encode(_ value: Int128, into bytes: inout [UInt8]) {
        if (0..<10_000).contains(value) { return encode(digit: UInt16(value), into: &bytes) }
        var digits: [UInt16] = []
        var rest = value.magnitude
        while rest > 0 {
            let (quotient, remainder) = rest.quotientAndRemainder(dividingBy: base)
            digits.append(UInt16(remainder))
            rest = quotient
        }
        digits.reverse()
        let weight = Int16(max(digits.count - 1, 0))
        while digits.last == 0 { digits.removeLast() }
        bytes.appendBigEndian(Int16(digits.count))
        bytes.appendBigEndian(weight)
        bytes.appendBigEndian(value < 0 ? negativeSign : 0)
        bytes.appendBigEndian(UInt16(0))
        for digit in digits { bytes.appendBigEndian(digit) }
    }

    /// Encodes a number of one digit, which is usual for counted units, or of none.
    private static func encode(digit: UInt16, into bytes: inout [UInt8]) {
        bytes.appendBigEndian(UInt64(digit == 0 ? 0 : 1) << 48)
        if digit > 0 { bytes.appendBigEndian(digit) }
    }

    /// Decodes an integer.
    ///
    /// - Returns: The integer, or nil if the number has a fraction, is not a number or does not fit.
    static func decode(_ bytes: UnsafeRawBufferPointer) -> Int128? {
        guard bytes.count >= 8, bytes.count % 2 == 0 else { return nil }
        func word(_ index: Int) -> UInt16 {
            unsafe UInt16(bytes[2 * index]) << 8 | UInt16(bytes[2 * index + 1])
        }
        let count = Int(word(0))
        let weight = Int(Int16(bitPattern: word(1)))
        let sign = word(2)
        guard sign == 0 || sign == negativeSign, bytes.count == 8 + 2 * count else { return nil }
        guard count <= weight + 1 else { return nil }
        guard count > 0 else { return 0 }
        // The smallest integer has no positive counterpart, so negative numbers are summed up negatively.
        var value: Int128 = 0
        for index in 0...weight {
            let digit = index < count ? Int128(word(4 + index)) : 0
            let (scaled, overflow) = value.multipliedReportingOverflow(by: 10_000)
            let (sum, overflowOfSum) =
                sign == 0 ? scaled.addingReportingOverflow(digit) : scaled.subtractingReportingOverflow(digit)
            guard !overflow, !overflowOfSum else { return nil }
            value = sum
        }
        return value
    }
}
