/// One row of a result.
///
/// The decoding functions are inlined at their call sites, because the type is fixed there. Looking up the type at each
/// call would take several times as long as decoding.
public struct Row: Sendable {
    @usableFromInline let storage: ResultStorage
    let index: Int

    /// Decodes the value of a column, counted from 0.
    ///
    /// - Throws: ``PQError/Code/decoding`` if it is NULL, of another type, or out of the type's range.
    @inlinable
    public func decode<Value: PostgresDecodable>(
        _ column: Int, as type: Value.Type = Value.self
    ) throws(PQError) -> Value {
        guard let value = try decodeIfPresent(column, as: type) else {
            throw nullError(column, of: "\(Value.self)")
        }
        return value
    }

    /// Decodes the value of a column, counted from 0; nil if it is NULL.
    ///
    /// - Throws: ``PQError/Code/decoding`` if it is of another type or out of the type's range.
    @inlinable
    public func decodeIfPresent<Value: PostgresDecodable>(
        _ column: Int, as type: Value.Type = Value.self
    ) throws(PQError) -> Value? {
        let (typeID, bytes) = unsafe value(column)
        guard let bytes = unsafe bytes else { return nil }
        guard let value = withExtendedLifetime(storage, { unsafe Value.decode(bytes, typeID: typeID) }) else {
            throw typeError(column, of: "\(Value.self)")
        }
        return value
    }

    /// Returns the type and the bytes of a column, valid as long as the storage.
    @usableFromInline func value(_ column: Int) -> (typeID: UInt32, bytes: UnsafeRawBufferPointer?) {
        precondition(column >= 0 && column < storage.columnCount, "column \(column) of \(storage.columnCount)")
        return unsafe (storage.type(column).rawValue, storage.bytes(index, column))
    }

    @usableFromInline func nullError(_ column: Int, of type: String) -> PQError {
        PQError(.decoding, "column \(storage.columnName(column)) is NULL; expected \(type)")
    }

    @usableFromInline func typeError(_ column: Int, of type: String) -> PQError {
        let typeID = storage.type(column).rawValue
        return PQError(.decoding, "column \(storage.columnName(column)) of type \(typeID) does not hold a \(type)")
    }
}
