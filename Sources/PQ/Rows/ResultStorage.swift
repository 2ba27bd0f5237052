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
