/// A text given by a caller (the name of a job, task or execution, a label, a tag), compared exactly.
///
/// Two names are equal when their Unicode scalars are, and they are ordered by them. Swift's own `String`
/// compares by canonical equivalence (`"é"` equals `"e\u{301}"`), which PostgreSQL does not, and would make
/// one task out of two.
///
/// A name is never normalised, folded or trimmed. It holds any text without NUL; the limits of its length
/// depend on what it names and are in ``Limits``.
public struct Name: Sendable {
    /// The text, exactly as it was given.
    public let text: String

    /// A name of this text. Costs nothing.
    public init(_ text: String) {
        self.text = text
    }

    /// How many Unicode scalars it has: the unit of all limits. Costs a pass over the text.
    public var scalarCount: Int { text.unicodeScalars.count }

    /// Whether it holds U+0000, which PostgreSQL cannot store and the ledger refuses.
    public var containsNUL: Bool { text.utf8.contains(0) }
}

extension Name: Hashable {
    public static func == (left: Name, right: Name) -> Bool {
        // Equal scalars are equal bytes in UTF-8, which is how Swift stores a native string.
        left.text.utf8.withContiguousStorageIfAvailable { left in
            right.text.utf8.withContiguousStorageIfAvailable { right in
                haveEqualBytes(UnsafeRawBufferPointer(left), UnsafeRawBufferPointer(right))
            }
        }.flatMap { $0 } ?? left.text.utf8.elementsEqual(right.text.utf8)
    }

    /// Eight bytes at a time: a fold compares names more often than it does anything else.
    private static func haveEqualBytes(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
        guard left.count == right.count else { return false }
        guard left.count >= 8 else {
            for offset in 0..<left.count where left[offset] != right[offset] { return false }
            return true
        }
        var offset = 0
        while offset < left.count {
            // The last eight may overlap those before them.
            let start = min(offset, left.count - 8)
            let leftWord = left.loadUnaligned(fromByteOffset: start, as: UInt64.self)
            guard leftWord == right.loadUnaligned(fromByteOffset: start, as: UInt64.self) else { return false }
            offset += 8
        }
        return true
    }

    public func hash(into hasher: inout Hasher) {
        let whole: Void? = text.utf8.withContiguousStorageIfAvailable {
            hasher.combine(bytes: UnsafeRawBufferPointer($0))
        }
        if whole == nil {
            for byte in text.utf8 { hasher.combine(byte) }
        }
        hasher.combine(0xFF as UInt8)
    }
}

extension Name: Comparable {
    /// By Unicode scalars, which is the order of the UTF-8 bytes and of PostgreSQL's collation `"C"`.
    public static func < (left: Name, right: Name) -> Bool {
        left.text.utf8.lexicographicallyPrecedes(right.text.utf8)
    }
}

extension Name: ExpressibleByStringLiteral {
    public init(stringLiteral text: String) {
        self.init(text)
    }
}

extension Name: CustomStringConvertible {
    public var description: String { text }
}
