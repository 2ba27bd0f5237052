import Glibc

/// How many files, sockets among them, this process may have open.
enum OpenFiles {
    /// Raises the limit as far as the system lets any process raise it.
    ///
    /// Processes that are started later inherit it. Many systems start processes with 1,024, for the sake of old programs
    /// that use `select`; nothing here does.
    ///
    /// - Returns: How many it may have open now.
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
