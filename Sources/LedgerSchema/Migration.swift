/// One step of the database's schema, as it stands in `Schema/migrations`.
public struct Migration: Sendable {
    /// The number that its file name begins with: 1, 2, 3 … without a gap.
    public let version: Int
    /// The name of the file.
    public let file: String
    /// The text, which also runs unchanged in psql.
    public let sql: String

    public init(version: Int, file: String, sql: String) {
        self.version = version
        self.file = file
        self.sql = sql
    }

    /// All migrations that this build knows, in order.
    public static let all: [Migration] = embedded.map { entry in
        guard let version = Int(entry.file.prefix { $0.isNumber }) else {
            preconditionFailure("\(entry.file): a migration's file name begins with its number")
        }
        return Migration(version: version, file: entry.file, sql: entry.text)
    }
}
