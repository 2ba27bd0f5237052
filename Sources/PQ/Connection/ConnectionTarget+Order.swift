extension ConnectionTarget {
    /// Returns the target with some of its hosts after the others.
    ///
    /// libpq tries the hosts in their order, and waits for each one until `connect_timeout`. A target with one host is
    /// returned unchanged, and so are hosts from the environment.
    func tryingLast(_ servers: Set<ServerAddress>) -> ConnectionTarget {
        let lists = ["host", "hostaddr", "port"].map { keyword in
            (self[keyword] ?? "").split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        }
        let count = max(lists[0].count, lists[1].count)
        // libpq requires lists of the same length; only a single value may stand for all hosts.
        guard count > 1, lists.allSatisfy({ [1, count].contains($0.count) }) else { return self }
        func value(_ list: Int, _ index: Int) -> String { lists[list].count == 1 ? lists[list][0] : lists[list][index] }
        let isLast = (0..<count).map { index in
            let host = value(0, index).isEmpty ? value(1, index) : value(0, index)
            return servers.contains { $0.host == host && ["", $0.port].contains(value(2, index)) }
        }
        let order = isLast.indices.filter { !isLast[$0] } + isLast.indices.filter { isLast[$0] }
        var changes: [String: String] = [:]
        for (keyword, list) in zip(["host", "hostaddr", "port"], lists) where list.count == count {
            changes[keyword] = order.map { list[$0] }.joined(separator: ",")
        }
        return settings(changes)
    }
}
