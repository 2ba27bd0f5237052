import Glibc

/// The folder of a private PostgreSQL, looked at before anything is made in it.
enum DataFolder {
    /// Whether a database was made in it.
    static func holdsDatabase(_ folder: String) -> Bool {
        access("\(folder)/postgresql/data/PG_VERSION", F_OK) == 0
    }

    /// Throws unless it is there, or can be made, and this process may write to it.
    static func check(_ folder: String) throws(CommandFailure) {
        var status = stat()
        if stat(folder, &status) == 0 {
            guard status.st_mode & S_IFMT == S_IFDIR else {
                throw CommandFailure(
                    .failed, "Cannot keep a database in \(folder): \(folder) is a file. Name a folder with --data.")
            }
            guard access(folder, R_OK | W_OK | X_OK) == 0 else { throw failure("use", folder) }
            return
        }
        guard errno == ENOENT else { throw failure("use", folder) }
        // The nearest folder above it that is there.
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
        guard access(String(parent), W_OK | X_OK) == 0 else { throw failure("make", folder) }
    }

    private static func failure(_ verb: String, _ folder: String) -> CommandFailure {
        CommandFailure(
            .failed,
            "Cannot \(verb) the data folder \(folder): \(String(cString: strerror(errno)).lowercased()). "
                + "Name another one with --data, or set PROGRESS_LEDGER_DATA.")
    }
}
