package import Ledger

/// Unique names of 128 random bits.
package enum RandomName {
    package static func make() -> Name {
        var generator = SystemRandomNumberGenerator()
        let digits = [generator.next(), generator.next()].map { bits in
            let text = String(bits, radix: 16)
            return String(repeating: "0", count: 16 - text.utf8.count) + text
        }
        return Name(digits.joined())
    }
}
