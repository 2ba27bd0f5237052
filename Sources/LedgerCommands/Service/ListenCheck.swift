import Glibc

/// Checks that the server can listen on an address, before anything is created.
enum ListenCheck {
    /// Throws unless the host is a name or an address that resolves.
    static func checkHost(_ host: String) throws(CommandFailure) {
        freeaddrinfo(try resolve(host, port: 0))
    }

    /// Throws unless the server can listen on the address now.
    static func check(_ address: ListenAddress) throws(CommandFailure) {
        let first = try resolve(address.host, port: address.port)
        defer { freeaddrinfo(first) }
        let descriptor = socket(first.pointee.ai_family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        // The server sets the same option: connections of an earlier server that are still closing do not block it.
        var one: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
        guard bind(descriptor, first.pointee.ai_addr, first.pointee.ai_addrlen) != 0 else { return }
        throw failure(errno, address)
    }

    private static func resolve(_ host: String, port: Int) throws(CommandFailure) -> UnsafeMutablePointer<addrinfo> {
        var hints = addrinfo()
        hints.ai_flags = AI_PASSIVE
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, String(port), &hints, &found)
        guard code == 0, let first = found else {
            throw CommandFailure(
                .usage,
                "Cannot listen on \(host): \(String(cString: gai_strerror(code))). "
                    + "Give an address of this machine with --host, such as 127.0.0.1.")
        }
        return first
    }

    private static func failure(_ code: Int32, _ address: ListenAddress) -> CommandFailure {
        let prefix = "Cannot listen on \(address.host), port \(address.port)"
        switch code {
        case EADDRINUSE:
            return CommandFailure(
                .failed,
                "\(prefix): another program listens there. Stop it, or choose another port with --port (0: any free one)."
            )
        case EADDRNOTAVAIL:
            return CommandFailure(
                .usage, "\(prefix): this machine has no such address. Give one of its own with --host.")
        case EACCES:
            return CommandFailure(
                .failed, "\(prefix): permission denied. Ports below 1024 need privileges; choose another with --port.")
        default:
            return CommandFailure(.failed, "\(prefix): \(String(cString: strerror(code))).")
        }
    }
}
