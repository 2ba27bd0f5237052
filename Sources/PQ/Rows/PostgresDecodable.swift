/// A type that can be read from PostgreSQL's binary format.
public protocol PostgresDecodable: Sendable {
    /// Reads a value of the PostgreSQL type with this object id.
    ///
    /// - Returns: nil where the type is another or the bytes are not a value of it.
    static func decode(_ bytes: UnsafeRawBufferPointer, typeID: UInt32) -> Self?
}

extension PostgresDecodable {
    static func decode(_ bytes: UnsafeRawBufferPointer, of type: TypeID) -> Self? {
        unsafe decode(bytes, typeID: type.rawValue)
    }
}
