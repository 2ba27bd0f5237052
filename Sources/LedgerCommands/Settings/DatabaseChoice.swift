/// The database of a service.
enum DatabaseChoice: Hashable, Sendable {
    /// An existing database, by its libpq connection string.
    ///
    /// An empty string leaves everything to libpq's `PG…` variables.
    case given(String)
    /// A private PostgreSQL in this folder.
    case isPrivate(folder: String)

    /// Chooses the database from flags and configuration.
    ///
    /// A flag has precedence; then `PROGRESS_LEDGER_DATABASE` from the environment or the file, `DATABASE_URL`, and
    /// libpq's variables. If none names a database, the choice is a private one.
    ///
    /// - Parameters:
    ///   - databaseFlag: The value of `--database`.
    ///   - dataFlag: The value of `--data`, which requests a private database and overrides the environment.
    ///   - configuration: The environment and the file.
    ///   - isRoot: Whether the process runs as root.
    static func choose(
        databaseFlag: String?, dataFlag: String?, configuration: Configuration, isRoot: Bool
    ) throws(CommandFailure) -> DatabaseChoice {
        switch (databaseFlag, dataFlag) {
        case (.some, .some):
            throw CommandFailure(
                .usage, "--database selects an existing database and --data a private one: give one of them.")
        case (let database?, nil):
            return .given(database)
        case (nil, let data?):
            return .isPrivate(folder: data)
        case (nil, nil):
            break
        }
        if let found = configuration.find(.database) { return .given(found.value) }
        if let url = configuration.variable("DATABASE_URL") { return .given(url) }
        // The others (PGPORT, PGUSER, PGPASSWORD, …) describe how to reach a database, not that one exists.
        if ["PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE"].contains(where: { configuration.variable($0) != nil }) {
            return .given("")
        }
        return .isPrivate(folder: try privateFolder(configuration, isRoot: isRoot))
    }

    private static func privateFolder(
        _ configuration: Configuration, isRoot: Bool
    ) throws(CommandFailure) -> String {
        if let found = configuration.find(.data) { return found.value }
        // As root, PostgreSQL runs under another account, which must be able to reach the folder.
        if isRoot { return "/var/lib/progress-ledger" }
        // The XDG base directory specification requires relative paths to be ignored.
        if let folder = configuration.variable("XDG_DATA_HOME"), folder.hasPrefix("/") {
            return "\(folder)/progress-ledger"
        }
        guard let home = configuration.variable("HOME") else {
            throw CommandFailure(
                .usage, "No folder for a private database: HOME is not set. Give a folder with --data.")
        }
        return "\(home)/.local/share/progress-ledger"
    }
}
