/// The object id of a built-in PostgreSQL type.
///
/// The ids are those of src/include/catalog/pg_type.dat and never change.
struct TypeID: RawRepresentable, Hashable, Sendable {
    let rawValue: UInt32

    static let bool = TypeID(rawValue: 16)
    static let bytea = TypeID(rawValue: 17)
    static let name = TypeID(rawValue: 19)
    static let int8 = TypeID(rawValue: 20)
    static let int2 = TypeID(rawValue: 21)
    static let int4 = TypeID(rawValue: 23)
    static let text = TypeID(rawValue: 25)
    static let oid = TypeID(rawValue: 26)
    static let xid = TypeID(rawValue: 28)
    static let json = TypeID(rawValue: 114)
    static let float8 = TypeID(rawValue: 701)
    static let unknown = TypeID(rawValue: 705)
    static let bpchar = TypeID(rawValue: 1042)
    static let varchar = TypeID(rawValue: 1043)
    static let timestamptz = TypeID(rawValue: 1184)
    static let numeric = TypeID(rawValue: 1700)
    static let record = TypeID(rawValue: 2249)
    static let uuid = TypeID(rawValue: 2950)
    static let jsonb = TypeID(rawValue: 3802)

    /// The type of an array of these values, for the types that can be sent.
    var array: TypeID {
        switch self {
        case .bool: TypeID(rawValue: 1000)
        case .bytea: TypeID(rawValue: 1001)
        case .int2: TypeID(rawValue: 1005)
        case .int4: TypeID(rawValue: 1007)
        case .text: TypeID(rawValue: 1009)
        case .int8: TypeID(rawValue: 1016)
        case .float8: TypeID(rawValue: 1022)
        case .timestamptz: TypeID(rawValue: 1185)
        case .numeric: TypeID(rawValue: 1231)
        case .uuid: TypeID(rawValue: 2951)
        case .jsonb: TypeID(rawValue: 3807)
        default: preconditionFailure("arrays of type \(rawValue) are not supported")
        }
    }
}
