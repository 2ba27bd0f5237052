internal import CLibPQ

/// A result of libpq, freed with its last user.
///
/// `@unchecked Sendable`: libpq never changes a result once it has handed it out, and reading one from several threads
/// is allowed (manual, section 34.20); the pointer never leaves this class and is cleared once, at the end.
@safe final class ResultStorage: @unchecked Sendable {
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

    func withBytes<R>(_ row: Int, _ column: Int, _ body: (UnsafeRawBufferPointer?) throws -> R) rethrows -> R {
        guard unsafe PQgetisnull(result, Int32(row), Int32(column)) == 0 else { return try body(nil) }
        let length = unsafe Int(PQgetlength(result, Int32(row), Int32(column)))
        let bytes = unsafe UnsafeRawBufferPointer(start: PQgetvalue(result, Int32(row), Int32(column)), count: length)
        return unsafe try body(bytes)
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
public struct Row: Sendable {
    let storage: ResultStorage
    let index: Int

    /// The value of a column, counted from 0.
    ///
    /// - Throws: ``PQError/Code/decoding`` where it is NULL, of another type, or out of the type's range.
    public func decode<Value: PostgresDecodable>(
        _ column: Int, as type: Value.Type = Value.self
    ) throws(PQError) -> Value {
        guard let value = try decodeIfPresent(column, as: type) else {
            throw PQError(.decoding, "column \(storage.columnName(column)) is NULL; expected \(Value.self)")
        }
        return value
    }

    /// The value of a column, counted from 0; nil where it is NULL.
    ///
    /// - Throws: ``PQError/Code/decoding`` where it is of another type or out of the type's range.
    public func decodeIfPresent<Value: PostgresDecodable>(
        _ column: Int, as type: Value.Type = Value.self
    ) throws(PQError) -> Value? {
        precondition(column >= 0 && column < storage.columnCount, "column \(column) of \(storage.columnCount)")
        let postgresType = storage.type(column)
        let decoded: Value?? = unsafe storage.withBytes(index, column) { bytes in
            guard let bytes = unsafe bytes else { return .some(nil) }
            return unsafe Value.decode(bytes, of: postgresType).map { .some($0) } ?? nil
        }
        guard let decoded else {
            throw PQError(
                .decoding,
                "column \(storage.columnName(column)) of type \(postgresType.rawValue) does not hold a \(Value.self)")
        }
        return decoded
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
