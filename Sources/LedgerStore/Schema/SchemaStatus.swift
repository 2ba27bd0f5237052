/// How a database's schema compares with the one that this build needs.
public enum SchemaStatus: Sendable, Equatable {
    /// All migrations of this build are there, and no others.
    case current(version: Int)
    /// These files are still to be applied.
    case behind(files: [String])
    /// A newer build has migrated the database: this one must not touch it.
    case newer(version: Int)
    /// A migration was applied with another content than this build has.
    case edited(file: String)
    /// There is a schema `ledger` that no migrator made.
    case foreign
    /// The database stores texts in this encoding, which cannot hold every text that a caller may send.
    case unsupportedEncoding(String)
    /// The event table is distributed over several servers.
    case distributed
    /// This user has no access to the schema.
    case inaccessible(user: String)

    /// What it means and what to do, in a sentence.
    public var explanation: String {
        switch self {
        case .current(let version): "the schema is at version \(version), as this build needs it"
        case .behind(let files):
            "the schema lacks \(files.joined(separator: ", ")): run `progress-ledger migrate`"
        case .newer(let version):
            "the database is at version \(version), which is newer than this build knows: run a newer build"
        case .edited(let file):
            "\(file) was applied with another content than this build has: a released migration must never be edited"
        case .foreign:
            "there is a schema named ledger without records of migrations: it was made by other means, and is left alone"
        case .unsupportedEncoding(let encoding):
            "the database is encoded in \(encoding): create one with `encoding 'UTF8' template template0`"
        case .distributed:
            "ledger.event is distributed by Citus, which is not supported yet: appends would not be atomic"
        case .inaccessible(let user):
            "user \(user) may not use the schema ledger: let an administrator run `grant \(Guarantees.serviceRole) to "
                + "\(PreparationSQL.quoted(user))`"
        }
    }
}
