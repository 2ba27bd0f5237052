import Glibc

/// The limit of open files, including sockets, of this process.
enum OpenFiles {
    /// Raises the limit to the maximum that the system allows any process.
    ///
    /// Processes that are started later inherit it. Many systems start processes with a limit of 1,024, for old
    /// programs that use `select`; this program does not.
    ///
    /// - Returns: The limit after the change.
    static func allowAsManyAsPossible() -> Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1_024 }
        if limit.rlim_cur < limit.rlim_max {
            var raised = limit
            raised.rlim_cur = limit.rlim_max
            if setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &raised) == 0 { limit = raised }
        }
        return Int(clamping: limit.rlim_cur)
    }
}
