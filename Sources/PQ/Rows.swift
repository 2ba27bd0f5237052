internal import CLibPQ

/// A result of libpq, freed with its last user.
///
/// `@unchecked Sendable`: libpq never changes a result once it has handed it out, and reading one from several threads
/// is allowed (manual, section 34.20); the pointer never leaves this class and is cleared once, at the end.
@safe @usableFromInline final class ResultStorage: @unchecked Sendable {
    private let result: OpaquePointer

    init(_ result: OpaquePointer) {
        unsafe self.result = result
    }

    deinit {
        unsafe PQclear(result)
    }

    var rowCount: Int { unsafe Int(PQntuples(result)) }
    var columnCount: Int { unsafe Int(PQnfields(result)) }
    var commandTag: String { unsafe String(cString: PQcmdStatus(result)) }
    var affectedRows: Int { unsafe Int(String(cString: PQcmdTuples(result))) ?? 0 }

    func columnName(_ column: Int) -> String { unsafe String(cString: PQfname(result, Int32(column))) }
    func type(_ column: Int) -> TypeID { unsafe TypeID(rawValue: PQftype(result, Int32(column))) }

    /// The bytes of a value, which are there for as long as this is; nil where it is NULL.
    @unsafe func bytes(_ row: Int, _ column: Int) -> UnsafeRawBufferPointer? {
        guard unsafe PQgetisnull(result, Int32(row), Int32(column)) == 0 else { return nil }
        let length = unsafe Int(PQgetlength(result, Int32(row), Int32(column)))
        return unsafe UnsafeRawBufferPointer(start: PQgetvalue(result, Int32(row), Int32(column)), count: length)
    }
}

/// The rows that a statement returned. Values stay in binary until they are decoded.
public struct Rows: RandomAccessCollection, Sendable {
    let storage: ResultStorage

    public var startIndex: Int { 0 }
    public var endIndex: Int { storage.rowCount }
    public subscript(position: Int) -> Row {
        precondition(position >= 0 && position < endIndex, "row \(position) of \(endIndex)")
        return Row(storage: storage, index: position)
    }

    /// What the server says it did, such as `INSERT 0 3`.
    public var commandTag: String { storage.commandTag }
    /// How many rows the statement returned, inserted, updated or deleted.
    public var affectedRows: Int { storage.affectedRows }
    /// The names of the columns.
    public var columnNames: [String] { (0..<storage.columnCount).map(storage.columnName) }
}

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
