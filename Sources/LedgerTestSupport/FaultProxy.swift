internal import Glibc
public import PQ
internal import Synchronization

/// A proxy that breaks connections at a chosen byte or lets them hang.
///
/// It forwards connections of a program to PostgreSQL or to a ledger's server.
///
/// `@unchecked Sendable`: its threads share state that is protected by a lock, and descriptors that no other code uses.
public final class FaultProxy: @unchecked Sendable {
    /// The direction in which bytes flow.
    public enum Direction: Sendable {
        case toServer
        case toClient
    }

    private struct State {
        var passed: [Direction: Int] = [.toServer: 0, .toClient: 0]
        var cut: (direction: Direction, afterBytes: Int)?
        var isHanging = false
        /// The text at which it begins to hang, and whether the text is still forwarded.
        var stop: (text: [UInt8], isForwarded: Bool)?
        var hasStopped = false
        var isHoldingNew = false
        /// The new connections that are not forwarded.
        var held: Set<Int32> = []
        var isClosed = false
        var isListenerClosed = false
        var open: Set<Int32> = []
        var upstream: Endpoint

        mutating func closeHeld() {
            for descriptor in held { Glibc.close(descriptor) }
            held = []
        }
    }

    /// The endpoint of a connection.
    private enum Endpoint {
        case file(String)
        case port(Int)
    }

    private let state: Mutex<State>
    private let listener: Int32
    private let folder: String?
    /// The connection target of the proxy itself: a database, or host and port.
    public let target: ConnectionTarget

    /// Starts a proxy for a database with a Unix socket.
    public init(before target: ConnectionTarget) throws {
        guard let host = target["host"], host.hasPrefix("/") else { throw Failure("the host is not a Unix socket") }
        let folder = "/tmp/ledger-proxy-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        let name = ".s.PGSQL.\(target["port"] ?? "5432")"
        state = Mutex(State(upstream: .file("\(host)/\(name)")))
        self.folder = folder
        guard mkdir(folder, 0o700) == 0 else { throw Failure("cannot create \(folder)") }
        let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        guard Self.withAddress(.file("\(folder)/\(name)"), { bind(listener, $0, $1) }) == 0, listen(listener, 64) == 0
        else {
            throw Failure("cannot listen in \(folder): error \(errno)")
        }
        self.listener = listener
        self.target = target.setting("host", folder)
        Self.detached { self.accept() }
    }

    /// Starts a proxy for a server on this port of 127.0.0.1.
    ///
    /// The proxy's own port is in ``target``.
    public init(beforePort port: Int) throws {
        state = Mutex(State(upstream: .port(port)))
        folder = nil
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard Self.withAddress(.port(0), { bind(listener, $0, $1) }) == 0, listen(listener, 64) == 0 else {
            throw Failure("cannot listen: error \(errno)")
        }
        var address = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let found = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(listener, $0, &length) }
        }
        guard found == 0 else { throw Failure("cannot read the port: error \(errno)") }
        self.listener = listener
        target = try ConnectionTarget("host=127.0.0.1 port=\(UInt16(bigEndian: address.sin_port))")
        Self.detached { self.accept() }
    }

    /// Forwards new connections to this port, after a restart of the server.
    public func lead(toPort port: Int) { state.withLock { $0.upstream = .port(port) } }

    /// Returns the bytes in a direction since the last ``cut(_:after:)`` or ``heal()``.
    public func passed(_ direction: Direction) -> Int { state.withLock { $0.passed[direction] ?? 0 } }

    /// Cuts connections after a number of bytes in one direction, until ``heal()``.
    ///
    /// The bytes of all connections count together, from this call on.
    public func cut(_ direction: Direction, after bytes: Int) {
        state.withLock { state in
            state.passed = [.toServer: 0, .toClient: 0]
            state.cut = (direction, bytes)
        }
    }

    /// Forwards everything again.
    public func heal() {
        state.withLock { state in
            state.passed = [.toServer: 0, .toClient: 0]
            state.cut = nil
            state.isHanging = false
            state.stop = nil
            state.hasStopped = false
            state.isHoldingNew = false
            state.closeHeld()
        }
    }

    /// Closes all connections, and forwards new ones again.
    public func closeConnections() {
        state.withLock { state in
            // Only under the lock are the numbers still those of the proxy's own sockets.
            for descriptor in state.open { shutdown(descriptor, Int32(SHUT_RDWR)) }
            state.isHanging = false
        }
    }

    /// Forwards nothing and keeps every connection open.
    public func hang() { state.withLock { $0.isHanging = true } }

    /// Forwards nothing more, in either direction, once a client sends this text.
    ///
    /// At that moment the client can be killed between two statements, or before it has the response to one. The text
    /// must be sent in one piece, as the beginning of a statement is.
    ///
    /// - Parameter isForwarded: Whether the server still receives what the client sent with the text.
    public func stop(at text: String, isForwarded: Bool) {
        state.withLock { $0.stop = (Array(text.utf8), isForwarded) }
    }

    /// Whether a client has sent the text of ``stop(at:isForwarded:)``.
    public var hasStopped: Bool { state.withLock { $0.hasStopped } }

    /// Accepts new connections without forwarding them, until ``heal()``.
    ///
    /// Earlier connections are still forwarded.
    public func holdNew() { state.withLock { $0.isHoldingNew = true } }

    /// Closes all connections and accepts no more.
    public func close() {
        let isFirst = state.withLock { state in
            guard !state.isClosed else { return false }
            state.isClosed = true
            // Only under the lock are the numbers still those of the proxy's own sockets.
            for descriptor in state.open { shutdown(descriptor, Int32(SHUT_RDWR)) }
            state.closeHeld()
            if !state.isListenerClosed { shutdown(listener, Int32(SHUT_RDWR)) }
            return true
        }
        guard isFirst, let folder else { return }
        unlink("\(folder)/.s.PGSQL.\(target["port"] ?? "5432")")
        rmdir(folder)
    }

    private struct Failure: Error, CustomStringConvertible {
        let description: String
        init(_ description: String) { self.description = description }
    }

    // MARK: Threads

    private func accept() {
        while true {
            let client = Glibc.accept(listener, nil, nil)
            guard client >= 0 else { break }
            let isHeld = state.withLock { state in
                if state.isHoldingNew, !state.isClosed { state.held.insert(client) }
                return state.held.contains(client)
            }
            if isHeld { continue }
            let upstream = state.withLock { $0.upstream }
            let server = socket(folder == nil ? AF_INET : AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
            guard Self.withAddress(upstream, { connect(server, $0, $1) }) == 0 else {
                Glibc.close(client)
                Glibc.close(server)
                continue
            }
            let isOpen = state.withLock { state in
                if !state.isClosed { state.open.formUnion([client, server]) }
                return !state.isClosed
            }
            guard isOpen else {
                Glibc.close(client)
                Glibc.close(server)
                continue
            }
            let remaining = PairCounter()
            for (source, sink, direction) in [
                (client, server, Direction.toServer), (server, client, Direction.toClient),
            ] {
                Self.detached {
                    self.pump(source, sink, direction)
                    guard remaining.isLast() else { return }
                    self.state.withLock { $0.open.subtract([client, server]) }
                    Glibc.close(client)
                    Glibc.close(server)
                }
            }
        }
        state.withLock { state in
            state.isListenerClosed = true
            Glibc.close(listener)
        }
    }

    private func pump(_ source: Int32, _ sink: Int32, _ direction: Direction) {
        defer {
            shutdown(source, Int32(SHUT_RDWR))
            shutdown(sink, Int32(SHUT_RDWR))
        }
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = read(source, &buffer, buffer.count)
            guard count > 0 else { return }
            let isLast = direction == .toServer && stops(at: buffer[..<count])
            while !isLast, state.withLock({ $0.isHanging && !$0.isClosed }) { usleep(2_000) }
            let (allowed, isCut) = admit(count, direction)
            var sent = 0
            while sent < allowed {
                let more = buffer.withUnsafeBytes {
                    send(sink, $0.baseAddress! + sent, allowed - sent, Int32(MSG_NOSIGNAL))
                }
                guard more > 0 else { return }
                sent += more
            }
            if isLast { state.withLock { $0.hasStopped = true } }
            if isCut { return }
        }
    }

    /// Begins to hang if these bytes contain the text for it.
    ///
    /// - Returns: Whether they are the last ones to forward.
    private func stops(at bytes: ArraySlice<UInt8>) -> Bool {
        state.withLock { state in
            guard let stop = state.stop, bytes.firstRange(of: stop.text) != nil else { return false }
            state.stop = nil
            state.isHanging = true
            if !stop.isForwarded { state.hasStopped = true }
            return stop.isForwarded
        }
    }

    /// Returns how many of these bytes to forward, and whether to cut after them.
    private func admit(_ count: Int, _ direction: Direction) -> (Int, Bool) {
        state.withLock { state in
            let before = state.passed[direction] ?? 0
            state.passed[direction] = before + count
            guard let cut = state.cut, cut.direction == direction else { return (count, false) }
            guard before + count >= cut.afterBytes else { return (count, false) }
            return (max(0, cut.afterBytes - before), true)
        }
    }

    /// A counter that identifies the last one of two threads.
    private final class PairCounter: Sendable {
        private let ended = Mutex(0)

        func isLast() -> Bool {
            ended.withLock { ended in
                ended += 1
                return ended == 2
            }
        }
    }

    private static func withAddress(
        _ endpoint: Endpoint, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        func call<Address>(_ address: Address) -> Int32 {
            withUnsafePointer(to: address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    body($0, socklen_t(MemoryLayout<Address>.size))
                }
            }
        }
        switch endpoint {
        case .file(let path):
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
            return call(address)
        case .port(let port):
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = UInt16(port).bigEndian
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            return call(address)
        }
    }

    private static func detached(_ body: @escaping @Sendable () -> Void) {
        final class Box: Sendable {
            let body: @Sendable () -> Void
            init(_ body: @escaping @Sendable () -> Void) { self.body = body }
        }
        var thread = pthread_t()
        let box = Unmanaged.passRetained(Box(body)).toOpaque()
        let failure = pthread_create(
            &thread, nil,
            { pointer in
                if let pointer { Unmanaged<Box>.fromOpaque(pointer).takeRetainedValue().body() }
                return nil
            }, box)
        precondition(failure == 0, "cannot create a thread: error \(failure)")
        pthread_detach(thread)
    }
}
