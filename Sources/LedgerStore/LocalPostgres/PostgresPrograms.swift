internal import FoundationEssentials
internal import Glibc

/// The location of PostgreSQL's programs on this machine.
package struct PostgresPrograms {
    /// The folder that contains `initdb`, `pg_ctl` and `postgres`.
    package let folder: String

    /// The variable for the folder, if the search does not find it.
    static let folderVariable = "PROGRESS_LEDGER_POSTGRES_BIN"

    package func path(_ program: String) -> String { "\(folder)/\(program)" }

    /// Finds the programs in the usual folders.
    ///
    /// The order is: the variable, `PATH`, Debian's folders (newest first), Fedora's, a build from source, Homebrew's.
    package static func find(
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws(LocalPostgresError) -> PostgresPrograms {
        if let folder = environment[folderVariable] {
            guard isComplete(folder) else {
                throw LocalPostgresError(
                    .programsMissing,
                    "\(folderVariable) is \(folder), which does not contain initdb, pg_ctl and postgres")
            }
            return PostgresPrograms(folder: folder)
        }
        let path = (environment["PATH"] ?? "").split(separator: ":").map(String.init)
        let candidates =
            path + versioned("/usr/lib/postgresql", "bin") + versioned("/usr", "bin", prefix: "pgsql-")
            + ["/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql/bin"]
        guard let folder = candidates.first(where: isComplete) else {
            throw LocalPostgresError(
                .programsMissing,
                "PostgreSQL's programs (initdb, pg_ctl, postgres) were not found on this machine. Install them "
                    + "(Debian: apt-get install postgresql), name their folder in \(folderVariable), or give a database "
                    + "with --database")
        }
        return PostgresPrograms(folder: folder)
    }

    private static func isComplete(_ folder: String) -> Bool {
        ["initdb", "pg_ctl", "postgres"].allSatisfy { access("\(folder)/\($0)", X_OK) == 0 }
    }

    private static func versioned(_ parent: String, _ child: String, prefix: String = "") -> [String] {
        var names: [String] = []
        do { names = try FileManager.default.contentsOfDirectory(atPath: parent) } catch { return [] }
        return names.compactMap { name in name.hasPrefix(prefix) ? Double(name.dropFirst(prefix.count)) : nil }
            .sorted(by: >)
            .map { "\(parent)/\(prefix)\(Int($0))/\(child)" }
    }
}
