/// One step of the database's schema: a file of `Schema/migrations`.
public struct Migration: Sendable {
    /// The number at the start of the file name: 1, 2, 3 … without a gap.
    public let version: Int
    /// The name of the file.
    public let file: String
    /// The SQL, which also runs unchanged in psql.
    public let sql: String

    public init(version: Int, file: String, sql: String) {
        self.version = version
        self.file = file
        self.sql = sql
    }

    /// All migrations of this build, in order.
    public static let all: [Migration] = embedded.map { entry in
        guard let version = Int(entry.file.prefix { $0.isNumber }) else {
            preconditionFailure("\(entry.file): the file name of a migration must begin with its number")
        }
        return Migration(version: version, file: entry.file, sql: entry.text)
    }
}
