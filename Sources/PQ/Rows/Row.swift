/// One row of a result.
///
/// What decodes a value is inlined where it is called, for there its type is known: finding it out at each call would take
/// several times as long as decoding.
public struct Row: Sendable {
    @usableFromInline let storage: ResultStorage
    let index: Int

    /// The value of a column, counted from 0.
    ///
    /// - Throws: ``PQError/Code/decoding`` where it is NULL, of another type, or out of the type's range.
    @inlinable
    public func decode<Value: PostgresDecodable>(
        _ column: Int, as type: Value.Type = Value.self
    ) throws(PQError) -> Value {
        guard let value = try decodeIfPresent(column, as: type) else {
            throw isNull(column, of: "\(Value.self)")
        }
        return value
    }

    /// The value of a column, counted from 0; nil where it is NULL.
    ///
    /// - Throws: ``PQError/Code/decoding`` where it is of another type or out of the type's range.
    @inlinable
    public func decodeIfPresent<Value: PostgresDecodable>(
        _ column: Int, as type: Value.Type = Value.self
    ) throws(PQError) -> Value? {
        let (typeID, bytes) = unsafe value(column)
        guard let bytes = unsafe bytes else { return nil }
        guard let value = withExtendedLifetime(storage, { unsafe Value.decode(bytes, typeID: typeID) }) else {
            throw isNone(column, of: "\(Value.self)")
        }
        return value
    }

    /// The type and the bytes of a column; these are there for as long as the storage is.
    @usableFromInline func value(_ column: Int) -> (typeID: UInt32, bytes: UnsafeRawBufferPointer?) {
        precondition(column >= 0 && column < storage.columnCount, "column \(column) of \(storage.columnCount)")
        return unsafe (storage.type(column).rawValue, storage.bytes(index, column))
    }

    @usableFromInline func isNull(_ column: Int, of type: String) -> PQError {
        PQError(.decoding, "column \(storage.columnName(column)) is NULL; expected \(type)")
    }

    @usableFromInline func isNone(_ column: Int, of type: String) -> PQError {
        let typeID = storage.type(column).rawValue
        return PQError(.decoding, "column \(storage.columnName(column)) of type \(typeID) does not hold a \(type)")
    }
}
