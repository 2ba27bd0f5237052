/// The SHA-256 of an event and of all earlier events of its job.
///
/// It is stored as four integers and therefore needs no allocation.
public struct EventHash: Hashable, Sendable {
    private let first: UInt64
    private let second: UInt64
    private let third: UInt64
    private let fourth: UInt64

    /// The number of bytes of a hash.
    public static let byteCount = 32

    /// The hash of no event.
    public static let none = EventHash(0, 0, 0, 0)

    /// The first eight bytes, which distinguish two histories of a job.
    public var prefix: UInt64 { first }

    /// The bytes, eight in each integer, big-endian.
    public var words: (UInt64, UInt64, UInt64, UInt64) { (first, second, third, fourth) }

    /// Creates a hash from four integers of eight bytes each, big-endian.
    public init(_ first: UInt64, _ second: UInt64, _ third: UInt64, _ fourth: UInt64) {
        self.first = first
        self.second = second
        self.third = third
        self.fourth = fourth
    }

    /// Creates a hash from its bytes; nil if there are not 32 of them.
    public init?(bytes: some Sequence<UInt8>) {
        var (first, second, third, fourth): (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        var count = 0
        for byte in bytes {
            guard count < Self.byteCount else { return nil }
            // Moves all 256 bits to the left by one byte.
            first = first << 8 | second >> 56
            second = second << 8 | third >> 56
            third = third << 8 | fourth >> 56
            fourth = fourth << 8 | UInt64(byte)
            count += 1
        }
        guard count == Self.byteCount else { return nil }
        self.init(first, second, third, fourth)
    }

    /// The 32 bytes.
    public var bytes: [UInt8] {
        [first, second, third, fourth].flatMap { word in
            (0..<8).map { UInt8(truncatingIfNeeded: word >> (56 - 8 * $0)) }
        }
    }
}

extension EventHash: LosslessStringConvertible {
    /// Parses 64 hexadecimal digits in either case; nil for any other text.
    public init?(_ description: String) {
        guard description.utf8.count == 2 * Self.byteCount else { return nil }
        var words: [UInt64] = []
        var word: UInt64 = 0
        for (index, byte) in description.utf8.enumerated() {
            guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue else { return nil }
            word = word << 4 | UInt64(digit)
            if index % 16 == 15 { words.append(word) }
        }
        self.init(words[0], words[1], words[2], words[3])
    }

    /// 64 hexadecimal digits in lower case.
    public var description: String {
        let digits: StaticString = "0123456789abcdef"
        return String(unsafeUninitializedCapacity: 2 * Self.byteCount) { buffer in
            var position = 0
            for word in [first, second, third, fourth] {
                for shift in stride(from: 60, through: 0, by: -4) {
                    buffer[position] = digits.utf8Start[Int(word >> UInt64(shift) & 15)]
                    position += 1
                }
            }
            return position
        }
    }
}
