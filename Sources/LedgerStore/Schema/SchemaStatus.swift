/// The relation of a database's schema to the one that this build needs.
public enum SchemaStatus: Sendable, Equatable {
    /// All migrations of this build are applied, and no others.
    case current(version: Int)
    /// These files have not been applied yet.
    case behind(files: [String])
    /// A newer build has migrated the database to this version.
    ///
    /// This build must not use it.
    case newer(version: Int)
    /// A migration was applied with other content than this build has.
    case edited(file: String)
    /// The schema `ledger` exists but was not created by a migrator.
    case foreign
    /// The database's text encoding cannot represent every text of a caller.
    case unsupportedEncoding(String)
    /// The server is older than the oldest supported version of PostgreSQL.
    case unsupportedServer(version: String)
    /// This user has no access to the schema.
    case inaccessible(user: String)

    /// The meaning of the status and the remedy, in one sentence.
    public var explanation: String {
        switch self {
        case .current(let version): "the schema is at version \(version), which this build needs"
        case .behind(let files):
            "the schema lacks \(files.joined(separator: ", ")): run `progress-ledger migrate`"
        case .newer(let version):
            "the database is at version \(version), which is newer than this build: run a newer build"
        case .edited(let file):
            "\(file) was applied with other content than this build has: a released migration must never be edited"
        case .foreign:
            "the schema ledger has no record of migrations: it was created by other means and is not changed"
        case .unsupportedEncoding(let encoding):
            "the database has the encoding \(encoding): create one with `encoding 'UTF8' template template0`"
        case .unsupportedServer(let version):
            "PostgreSQL \(version) is too old: upgrade it to \(PostgresVersion.oldest / 10_000) or later"
        case .inaccessible(let user):
            "user \(user) may not use the schema ledger: ask an administrator to run `grant \(Guarantees.serviceRole) to "
                + "\(PreparationSQL.quoted(user))`"
        }
    }
}
