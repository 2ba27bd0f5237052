/// Which database a service works on.
enum DatabaseChoice: Hashable, Sendable {
    /// An existing one, by libpq's connection string; empty leaves everything to libpq's `PG…` variables.
    case given(String)
    /// A private PostgreSQL in this folder.
    case isPrivate(folder: String)

    /// Decides. A flag comes before everything else; then our own variable or the file, `DATABASE_URL`, and libpq's
    /// variables; where nothing names a database, a private one.
    ///
    /// - Parameters:
    ///   - databaseFlag: `--database`.
    ///   - dataFlag: `--data`: asks for a private database, whatever the environment says.
    ///   - configuration: The environment and the file.
    ///   - isRoot: Whether we are root.
    static func choose(
        databaseFlag: String?, dataFlag: String?, configuration: Configuration, isRoot: Bool
    ) throws(CommandFailure) -> DatabaseChoice {
        switch (databaseFlag, dataFlag) {
        case (.some, .some):
            throw CommandFailure(
                .usage, "--database names an existing database and --data asks for a private one: give one of them.")
        case (let database?, nil):
            return .given(database)
        case (nil, let data?):
            return .isPrivate(folder: data)
        case (nil, nil):
            break
        }
        if let found = configuration.find(.database) { return .given(found.value) }
        if let url = configuration.variable("DATABASE_URL") { return .given(url) }
        // The others (PGPORT, PGUSER, PGPASSWORD, …) say how to reach a database, not that there is one.
        if ["PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE"].contains(where: { configuration.variable($0) != nil }) {
            return .given("")
        }
        return .isPrivate(folder: try privateFolder(configuration, isRoot: isRoot))
    }

    private static func privateFolder(
        _ configuration: Configuration, isRoot: Bool
    ) throws(CommandFailure) -> String {
        if let found = configuration.find(.data) { return found.value }
        // As root, PostgreSQL runs as another account, which must be able to reach the folder.
        if isRoot { return "/var/lib/progress-ledger" }
        // A relative path in it is to be ignored, says the XDG base directory specification.
        if let folder = configuration.variable("XDG_DATA_HOME"), folder.hasPrefix("/") {
            return "\(folder)/progress-ledger"
        }
        guard let home = configuration.variable("HOME") else {
            throw CommandFailure(
                .usage, "There is no folder to keep a database in: HOME is not set. Name one with --data.")
        }
        return "\(home)/.local/share/progress-ledger"
    }
}
