/// Where the server listens.
struct ListenAddress: Hashable, Sendable {
    let host: String
    let port: Int

    /// The address, unless it would let others in who need not say who they are.
    ///
    /// - Throws: Where the host is not a loopback address and nobody has said in plain words that it may be reached
    ///   without authentication.
    init(host: String, port: Int, isOpenToAll: Bool) throws(CommandFailure) {
        guard Self.isLoopback(host) || isOpenToAll else {
            throw CommandFailure(
                .usage,
                """
                \(host) can be reached from other machines, and this version knows no authentication: whoever reaches \
                it may read and write everything. Listen on 127.0.0.1, or, where only those reach it who may, say so \
                with --insecure-no-authentication.
                """)
        }
        self.host = host
        self.port = port
    }

    /// Whether only this machine reaches the address. A name other than `localhost` may mean anything.
    static func isLoopback(_ host: String) -> Bool {
        if host == "localhost" || host == "::1" { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }

    /// A URL of this host with the port that was found.
    static func url(host: String, port: Int) -> String {
        "http://\(host.contains(":") ? "[\(host)]" : host):\(port)"
    }
}
