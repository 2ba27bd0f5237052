internal import Glibc

/// A non-blocking connection to 127.0.0.1.
struct LoadSocket {
    let descriptor: Int32
    private let tls: LoadTLS.Session?

    init(_ target: LoadTarget) throws {
        tls = try target.tls?.makeSession()
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw Self.failure("cannot create a socket") }
        var one: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, 4)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = target.port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let isConnected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        guard isConnected, fcntl(descriptor, F_SETFL, O_NONBLOCK) == 0 else {
            close(descriptor)
            throw Self.failure("cannot connect to the server")
        }
    }

    /// Sends bytes; returns the number sent, or nil if none can be sent now.
    ///
    /// With TLS, bytes that cannot be sent now are kept, and are sent before the next ones or with the next receiving.
    func send(_ bytes: ArraySlice<UInt8>) throws -> Int? {
        guard let tls else { return try bytes.withUnsafeBytes { try sendPlain($0) } }
        try tls.encrypt(bytes)
        try sendEncrypted(tls)
        return bytes.count
    }

    private func sendPlain(_ bytes: UnsafeRawBufferPointer) throws -> Int? {
        let count = Glibc.send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
        if count >= 0 { return count }
        guard errno == EAGAIN || errno == EINTR else { throw Self.failure("cannot send") }
        return nil
    }

    private func sendEncrypted(_ tls: LoadTLS.Session) throws {
        while !tls.outgoing.isEmpty {
            guard let count = try tls.outgoing.withUnsafeBytes({ try sendPlain($0) }) else { return }
            tls.outgoing.removeFirst(count)
        }
    }

    /// Appends received bytes; returns their number, nil if none, 0 at the end.
    func receive(into bytes: inout [UInt8], buffer: UnsafeMutableRawBufferPointer) throws -> Int? {
        let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
        guard count >= 0 else {
            guard errno == EAGAIN || errno == EINTR else { throw Self.failure("cannot receive") }
            return nil
        }
        guard count > 0, let tls else {
            bytes.append(contentsOf: buffer[..<count])
            return count
        }
        let before = bytes.count
        try tls.decrypt(UnsafeRawBufferPointer(rebasing: buffer[..<count]), into: &bytes)
        try sendEncrypted(tls)
        // A part of a record, or of the handshake, has no content.
        return bytes.count > before ? bytes.count - before : nil
    }

    func end() {
        close(descriptor)
    }

    private static func failure(_ action: String) -> BenchmarkError {
        BenchmarkError("\(action): \(String(cString: strerror(errno)))")
    }
}

extension LoadSocket {
    /// Reads to the end of the stream and discards the bytes.
    ///
    /// - Returns: The number of bytes.
    func drain() throws -> Int {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 262_144, alignment: 16)
        defer { buffer.deallocate() }
        var sum = 0
        var bytes: [UInt8] = []
        while true {
            var ready = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&ready, 1, 60_000) > 0 else { throw BenchmarkError("the server sent nothing for 60 s") }
            bytes.removeAll(keepingCapacity: true)
            guard let count = try receive(into: &bytes, buffer: buffer) else { continue }
            if count == 0 { return sum }
            sum += count
        }
    }
}
