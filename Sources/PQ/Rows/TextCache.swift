/// Texts that were read a moment ago: in a table of events the same few come again and again, and a string that is there
/// already costs no memory and no time to make.
struct TextCache: Sendable {
    private static let slotCount = 1_024
    /// What fits into Swift's string itself is made faster than found.
    private static let inlineMax = 15

    private var slots: [String] = []

    func slot(of bytes: UnsafeRawBufferPointer) -> Int {
        // FNV-1a, eight bytes at a time: which slot a text takes need only be spread well.
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

    /// Whether texts of more than eight bytes are the same, eight bytes at a time; the last eight may overlap.
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

    mutating func text(_ bytes: UnsafeRawBufferPointer) -> String {
        guard bytes.count > Self.inlineMax else { return unsafe String(decoding: bytes, as: UTF8.self) }
        if slots.isEmpty { slots = Array(repeating: "", count: Self.slotCount) }
        let slot = unsafe slot(of: bytes)
        let isThere: Bool? = unsafe slots[slot].utf8.withContiguousStorageIfAvailable { known in
            unsafe Self.areEqual(UnsafeRawBufferPointer(known), bytes)
        }
        if isThere == true { return slots[slot] }
        let text = unsafe String(decoding: bytes, as: UTF8.self)
        slots[slot] = text
        return text
    }
}
