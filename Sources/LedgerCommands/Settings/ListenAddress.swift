/// The address of the server.
struct ListenAddress: Hashable, Sendable {
    let host: String
    let port: Int

    /// Refuses an address that is open to other machines by mistake.
    ///
    /// - Parameter isProtected: Whether requests need a token, or access without one was allowed explicitly.
    /// - Throws: ``CommandFailure`` if the host is not a loopback address and access is not protected.
    func check(isProtected: Bool) throws(CommandFailure) {
        guard Self.isLoopback(host) || isProtected else {
            throw CommandFailure(
                .usage,
                """
                \(host) can be reached from other machines, and the ledger has no token: every client could read and \
                write everything. Create one first with 'progress-ledger token create NAME --scope admin --direct', with the \
                --data or --database of this server. \
                Or listen on 127.0.0.1, or, if only trusted clients reach the address, add \
                --insecure-no-authentication.
                """)
        }
    }

    /// Whether only this machine reaches the address.
    ///
    /// A name other than `localhost` may resolve to any address.
    static func isLoopback(_ host: String) -> Bool {
        if host == "localhost" || host == "::1" { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }

    /// The URL of a host and a port.
    static func url(host: String, port: Int, isSecure: Bool = false) -> String {
        "\(isSecure ? "https" : "http")://\(host.contains(":") ? "[\(host)]" : host):\(port)"
    }
}
