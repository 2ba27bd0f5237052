/// A cache of recently decoded texts, one per hash slot.
///
/// A table of events repeats the same few texts. A cached string costs no allocation and no decoding.
struct TextCache: Sendable {
    private static let slotCount = 1_024
    /// Texts up to this many bytes are stored inline in Swift's strings.
    ///
    /// Decoding them is faster than finding them.
    private static let inlineMax = 15

    private var slots: [String] = []

    /// Returns the slot of a text, from its FNV-1a hash over eight bytes at a time.
    ///
    /// The hash only needs to spread the texts well.
    func slot(of bytes: UnsafeRawBufferPointer) -> Int {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        var offset = 0
        while offset + 8 <= bytes.count {
            hash = unsafe (hash ^ bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) &* 0x0000_0100_0000_01B3
            offset += 8
        }
        while offset < bytes.count {
            hash = unsafe (hash ^ UInt64(bytes[offset])) &* 0x0000_0100_0000_01B3
            offset += 1
        }
        return Int(truncatingIfNeeded: (hash ^ (hash >> 32)) & UInt64(Self.slotCount - 1))
    }

    /// Compares texts of at least eight bytes, eight bytes at a time.
    ///
    /// The last eight may overlap the previous ones.
    private static func areEqual(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
        guard left.count == right.count, left.count >= 8 else { return false }
        var offset = 0
        while offset < left.count {
            let start = min(offset, left.count - 8)
            let word = unsafe left.loadUnaligned(fromByteOffset: start, as: UInt64.self)
            guard unsafe word == right.loadUnaligned(fromByteOffset: start, as: UInt64.self) else { return false }
            offset += 8
        }
        return true
    }

    /// Returns the text with these bytes, from the cache if possible.
    mutating func text(_ bytes: UnsafeRawBufferPointer) -> String {
        guard bytes.count > Self.inlineMax else { return unsafe String(decoding: bytes, as: UTF8.self) }
        if slots.isEmpty { slots = Array(repeating: "", count: Self.slotCount) }
        let slot = unsafe slot(of: bytes)
        let isHit: Bool? = unsafe slots[slot].utf8.withContiguousStorageIfAvailable { cached in
            unsafe Self.areEqual(UnsafeRawBufferPointer(cached), bytes)
        }
        if isHit == true { return slots[slot] }
        let text = unsafe String(decoding: bytes, as: UTF8.self)
        slots[slot] = text
        return text
    }
}
