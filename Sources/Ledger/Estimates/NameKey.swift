/// A 64-bit hash of a name, the same on every machine.
///
/// Estimates refer to labels and tasks by their hashes, which bounds the memory of long names. If two names ever have
/// the same hash, their durations are mixed, and nothing else happens. The function is FNV-1a with the finalizer of
/// MurmurHash3.
public struct NameKey: Hashable, Sendable {
    /// The hash.
    public let hash: UInt64

    init(hash: UInt64) {
        self.hash = hash
    }

    /// Hashes a name; nil is the default label.
    public init(_ name: Name?) {
        self = Self.withBytes(of: name) { bytes in
            var hasher = Hasher()
            for byte in bytes { hasher.add(byte) }
            return hasher.key
        }
    }

    /// The keys of a label's kind of work.
    struct Stems {
        /// The hash of the stem.
        ///
        /// It is the label with each run of digits replaced by one sign: `align_017` and `align_018` are the same
        /// kind of work.
        let whole: NameKey
        /// The hash of the stem of the last segment.
        ///
        /// It begins after `.`, `/`, `:`, `>` or `|`: `sample1/align_017` and `sample2/align_003` are the same kind
        /// of work.
        let segment: NameKey

        init(of label: Name?) {
            (whole, segment) = NameKey.withBytes(of: label) { bytes in
                let separator = bytes.lastIndex { NameKey.isSeparator($0) } ?? -1
                let segment = separator + 1 < bytes.count ? bytes[(separator + 1)...] : bytes[...]
                return (NameKey.stem(of: bytes[...]), NameKey.stem(of: segment))
            }
        }
    }

    private static func isSeparator(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "."), UInt8(ascii: "/"), UInt8(ascii: ":"), UInt8(ascii: ">"), UInt8(ascii: "|"): true
        default: false
        }
    }

    private static func stem(of bytes: Slice<UnsafeBufferPointer<UInt8>>) -> NameKey {
        var hasher = Hasher()
        var isNumber = false
        for byte in bytes {
            let isDigit = (48...57).contains(byte)
            if !isDigit { hasher.add(byte) } else if !isNumber { hasher.add(0xFF) }
            isNumber = isDigit
        }
        return hasher.key
    }

    /// Passes the UTF-8 of a name, which a native string stores as it is.
    private static func withBytes<R>(of name: Name?, _ body: (UnsafeBufferPointer<UInt8>) -> R) -> R {
        var text = name?.text ?? ""
        return text.withUTF8(body)
    }

    /// The lower half, which identifies a task within a summary.
    var half: UInt32 { UInt32(truncatingIfNeeded: hash) }

    private struct Hasher {
        private var state: UInt64 = 0xCBF2_9CE4_8422_2325

        mutating func add(_ byte: UInt8) {
            state = (state ^ UInt64(byte)) &* 0x100_0000_01B3
        }

        var key: NameKey {
            var mixed = state
            mixed = (mixed ^ (mixed >> 33)) &* 0xFF51_AFD7_ED55_8CCD
            mixed = (mixed ^ (mixed >> 33)) &* 0xC4CE_B9FE_1A85_EC53
            return NameKey(hash: mixed ^ (mixed >> 33))
        }
    }
}
