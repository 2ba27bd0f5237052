/// A text given by a caller, compared exactly by its Unicode scalars.
///
/// It is the name of a job, task or execution, a label or a tag. Names are also ordered by their scalars. Swift's own
/// `String` compares by canonical equivalence (`"é"` equals `"e\u{301}"`), which PostgreSQL does not, and would merge
/// two tasks into one.
///
/// A name is never normalised, case-folded or trimmed. It may be any text without NUL. The limits of its length depend
/// on its use and are in ``Limits``.
public struct Name: Sendable {
    /// The text, exactly as the caller gave it.
    public let text: String

    /// Creates a name from this text. Costs nothing.
    public init(_ text: String) {
        self.text = text
    }

    /// The number of Unicode scalars: the unit of all limits.
    ///
    /// Costs a pass over the text.
    public var scalarCount: Int { text.unicodeScalars.count }

    /// Whether it contains U+0000.
    ///
    /// PostgreSQL cannot store it, so the ledger refuses it.
    public var containsNUL: Bool { text.utf8.contains(0) }
}

extension Name: Hashable {
    public static func == (left: Name, right: Name) -> Bool {
        // Equal scalars have equal bytes in UTF-8, which is how Swift stores a native string.
        left.text.utf8.withContiguousStorageIfAvailable { left in
            right.text.utf8.withContiguousStorageIfAvailable { right in
                haveEqualBytes(UnsafeRawBufferPointer(left), UnsafeRawBufferPointer(right))
            }
        }.flatMap { $0 } ?? left.text.utf8.elementsEqual(right.text.utf8)
    }

    /// Compares eight bytes at a time.
    ///
    /// Comparing names is the fold's most frequent operation.
    private static func haveEqualBytes(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
        guard left.count == right.count else { return false }
        guard left.count >= 8 else {
            for offset in 0..<left.count where left[offset] != right[offset] { return false }
            return true
        }
        var offset = 0
        while offset < left.count {
            // The last eight bytes may overlap the ones before them.
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
    /// Compares by Unicode scalars.
    ///
    /// This is the order of the UTF-8 bytes and of PostgreSQL's collation `"C"`.
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
