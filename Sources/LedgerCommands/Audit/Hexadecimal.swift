/// Conversion between bytes and hexadecimal digits, two per byte.
enum Hexadecimal {
    private static let digits = Array("0123456789abcdef".utf8)

    /// Returns the digits of these bytes, in lower case.
    static func text(_ bytes: [UInt8]) -> String {
        String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    /// Returns the bytes of these digits.
    ///
    /// Nil if the text contains anything else or has an odd number of digits.
    static func bytes(_ text: String) -> [UInt8]? {
        let digits = text.unicodeScalars.compactMap { Character($0).hexDigitValue }
        guard digits.count == text.utf8.count, digits.count.isMultiple(of: 2) else { return nil }
        return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
    }
}
