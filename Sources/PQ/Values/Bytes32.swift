/// A `bytea` of 32 bytes, such as a hash, stored without an allocation.
public struct Bytes32: Hashable, Sendable {
    /// The bytes, eight in each word, big-endian.
    public let first, second, third, fourth: UInt64

    public init(first: UInt64, second: UInt64, third: UInt64, fourth: UInt64) {
        self.first = first
        self.second = second
        self.third = third
        self.fourth = fourth
    }
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

extension Bytes32: BinaryEncodable {
    static var typeID: TypeID { .bytea }

    func encode(into bytes: inout [UInt8]) {
        bytes.appendBigEndian(first)
        bytes.appendBigEndian(second)
        bytes.appendBigEndian(third)
        bytes.appendBigEndian(fourth)
    }
}
