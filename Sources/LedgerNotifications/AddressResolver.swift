internal import AsyncPrimitives
internal import Glibc
internal import Ledger
internal import NIOPosix

/// Resolves the names of hosts.
///
/// It has threads of its own, because the system's resolver blocks.
final class AddressResolver: Sendable {
    /// The number of names that are resolved at the same time.
    private static let threads = 4
    /// The time limit of a resolution, which may wait behind others.
    private static let limit: Duration = .seconds(5)

    private let pool = NIOThreadPool(numberOfThreads: threads)

    /// Why a name has no addresses.
    struct Failure: Error, Hashable {
        let reason: String
    }

    init() {
        pool.start()
    }

    /// Ends the threads once their resolutions have ended.
    func close() {
        pool.shutdownGracefully { _ in }
    }

    /// Returns the addresses of a host, in the system's order of preference.
    func addresses(of host: String) async throws(Failure) -> [NetworkAddress] {
        if let address = NetworkAddress(host) { return [address] }
        let result = FirstResult<[NetworkAddress], Failure>()
        pool.submit { state in
            guard case .active = state else { return result.end(.failure(Failure(reason: "is shutting down"))) }
            result.end(Result { () throws(Failure) in try Self.resolve(host) })
        }
        let timer = Task(name: "name-resolution-timer") {
            do { try await Task.sleep(for: Self.limit) } catch { return }
            result.end(.failure(Failure(reason: "the host's name was not resolved within \(Self.limit)")))
        }
        defer { timer.cancel() }
        return try await result.wait().get()
    }

    private static func resolve(_ host: String) throws(Failure) -> [NetworkAddress] {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_ADDRCONFIG
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, nil, &hints, &list)
        guard code == 0 else {
            throw Failure(reason: "the host's name cannot be resolved: \(String(cString: gai_strerror(code)))")
        }
        defer { freeaddrinfo(list) }
        var found: [NetworkAddress] = []
        var next = list
        while let entry = next?.pointee {
            if let address = address(entry), !found.contains(address) { found.append(address) }
            next = entry.ai_next
        }
        guard !found.isEmpty else { throw Failure(reason: "the host's name has no address") }
        return found
    }

    private static func address(_ entry: addrinfo) -> NetworkAddress? {
        guard let pointer = entry.ai_addr else { return nil }
        switch entry.ai_family {
        case AF_INET:
            return pointer.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { socket in
                withUnsafeBytes(of: socket.pointee.sin_addr) { NetworkAddress(bytes: Array($0)) }
            }
        case AF_INET6:
            return pointer.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { socket in
                withUnsafeBytes(of: socket.pointee.sin6_addr) { NetworkAddress(bytes: Array($0)) }
            }
        default: return nil
        }
    }
}
