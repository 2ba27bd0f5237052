/// A `bytea` of 32 bytes, such as a hash, stored without an allocation.
public struct Bytes32: Hashable, Sendable {
    /// The bytes, eight in each word, big-endian.
    public let first, second, third, fourth: UInt64
}

extension Bytes32: PostgresDecodable {
    public static func decode(_ bytes: UnsafeRawBufferPointer, typeID: UInt32) -> Bytes32? {
        guard typeID == TypeID.bytea.rawValue, bytes.count == 32 else { return nil }
        func word(_ number: Int) -> UInt64 {
            unsafe UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: number * 8, as: UInt64.self))
        }
        return Bytes32(first: word(0), second: word(1), third: word(2), fourth: word(3))
    }
}
