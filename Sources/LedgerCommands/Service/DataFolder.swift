import Glibc

/// Checks of a private PostgreSQL's folder, made before anything is created in it.
enum DataFolder {
    /// Whether the folder contains a database.
    static func containsDatabase(_ folder: String) -> Bool {
        access("\(folder)/postgresql/data/PG_VERSION", F_OK) == 0
    }

    /// Throws unless the folder exists or can be created, and is writable.
    static func check(_ folder: String) throws(CommandFailure) {
        var status = stat()
        if stat(folder, &status) == 0 {
            guard status.st_mode & S_IFMT == S_IFDIR else {
                throw CommandFailure(
                    .failed, "Cannot keep a database in \(folder): \(folder) is a file. Give a folder with --data.")
            }
            guard access(folder, R_OK | W_OK | X_OK) == 0 else { throw failure("use", folder) }
            return
        }
        guard errno == ENOENT else { throw failure("use", folder) }
        // Find the nearest existing folder above it.
        var parent = folder[...]
        repeat {
            while parent.count > 1, parent.last == "/" { parent.removeLast() }
            guard let slash = parent.lastIndex(of: "/") else {
                parent = "."
                break
            }
            parent = parent[..<slash]
            if parent.isEmpty { parent = "/" }
        } while stat(String(parent), &status) != 0 && parent != "/"
        guard access(String(parent), W_OK | X_OK) == 0 else { throw failure("create", folder) }
    }

    private static func failure(_ verb: String, _ folder: String) -> CommandFailure {
        CommandFailure(
            .failed,
            "Cannot \(verb) the data folder \(folder): \(String(cString: strerror(errno)).lowercased()). "
                + "Give another folder with --data or PROGRESS_LEDGER_DATA.")
    }
}
