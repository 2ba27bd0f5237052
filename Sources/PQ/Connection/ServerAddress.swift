/// The address of a server that a connection was opened to.
struct ServerAddress: Hashable, Sendable {
    /// The host as in the connection string.
    ///
    /// A name, the folder of the Unix socket, or an address.
    let host: String
    let port: String
    /// The network address; empty for a Unix socket.
    let networkAddress: String

    /// The address as libpq's settings.
    var settings: [String: String] {
        ["host": host, "port": port, "hostaddr": networkAddress].filter { !$0.value.isEmpty }
    }
}

extension ServerAddress: CustomStringConvertible {
    var description: String { "\(host):\(port)" }
}
