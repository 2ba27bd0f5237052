internal import FoundationEssentials
internal import Glibc

/// The user that PostgreSQL runs as: this one, or another one under root.
package struct Owner {
    package let name: String
    /// The arguments before a program that run it as this user.
    package let prefix: [String]
    private let identity: (user: uid_t, group: gid_t)?

    package static func current(runAs user: String) throws(LocalPostgresError) -> Owner {
        guard geteuid() == 0 else { return Owner(name: "\(geteuid())", prefix: [], identity: nil) }
        guard let entry = getpwnam(user) else {
            throw LocalPostgresError(
                .userMissing,
                "PostgreSQL refuses to run as root, and user \(user) does not exist. Run this as another user, "
                    + "or name one in \(LocalPostgres.userVariable)")
        }
        return Owner(
            name: user,
            prefix: ["setpriv", "--reuid=\(user)", "--regid=\(entry.pointee.pw_gid)", "--init-groups", "--"],
            identity: (entry.pointee.pw_uid, entry.pointee.pw_gid))
    }

    /// Creates a folder if it does not exist, for this user or for the process itself.
    package func makeFolder(_ path: String, mode: UInt32, isOurs: Bool) throws(LocalPostgresError) {
        var isFolder = false
        guard !FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) || isFolder else {
            throw LocalPostgresError(.folderUnusable, "\(path) is a file. Choose another data folder (--data)")
        }
        do {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        } catch {
            throw LocalPostgresError(.folderUnusable, "cannot create \(path): \(error)")
        }
        guard !isOurs else { return }
        try give(path)
        guard chmod(path, mode) == 0 else { throw failure(path) }
    }

    package func writeFile(_ path: String, _ text: String) throws(LocalPostgresError) {
        guard FileManager.default.createFile(atPath: path, contents: Data(text.utf8)) else { throw failure(path) }
        try give(path)
    }

    private func give(_ path: String) throws(LocalPostgresError) {
        guard let identity else { return }
        var status = stat()
        // A folder of another user may be in use by that user's PostgreSQL.
        if stat(path, &status) == 0, status.st_uid != 0, status.st_uid != identity.user {
            let owner = getpwuid(status.st_uid).map { String(cString: $0.pointee.pw_name) } ?? "\(status.st_uid)"
            throw LocalPostgresError(
                .folderUnusable,
                "\(path) belongs to user \(owner), and PostgreSQL would run as \(name). Run this as \(owner)")
        }
        guard chown(path, identity.user, identity.group) == 0 else { throw failure(path) }
    }

    private func failure(_ path: String) -> LocalPostgresError {
        LocalPostgresError(
            .folderUnusable,
            "cannot use \(path): \(String(cString: strerror(errno))). Choose another data folder (--data)")
    }
}
