internal import CLibPQ

/// A libpq result, freed with its last reference.
///
/// `@unchecked Sendable`: libpq never changes a result after returning it, and several threads may read one (manual,
/// section 34.20). The pointer never leaves this class and is freed once, in `deinit`.
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

    /// Returns the bytes of a value, valid as long as this object; nil if it is NULL.
    @unsafe func bytes(_ row: Int, _ column: Int) -> UnsafeRawBufferPointer? {
        guard unsafe PQgetisnull(result, Int32(row), Int32(column)) == 0 else { return nil }
        let length = unsafe Int(PQgetlength(result, Int32(row), Int32(column)))
        return unsafe UnsafeRawBufferPointer(start: PQgetvalue(result, Int32(row), Int32(column)), count: length)
    }
}
