internal import Glibc

/// A generator of HTTP load over many connections, on one thread.
///
/// Like pgbench, it shares the machine with the measured server, so it does as little as possible: requests consist of
/// prepared bytes, and only the status and the body's length of a response are parsed.
struct LoadGenerator {
    /// The time without any response after which the load fails.
    private static let responseDeadline: Duration = .seconds(60)

    let target: LoadTarget
    let connections: Int

    init(_ target: LoadTarget, connections: Int) {
        self.target = target
        self.connections = connections
    }

    /// Runs a script on a separate thread until all its connections have ended.
    ///
    /// - Parameter expected: The expected status of responses.
    func run(_ script: some LoadScript, expected: Int) async throws -> LoadResult {
        let copy = self
        return try await Threads.run { try copy.runOnThisThread(script, expected) }
    }

    private struct Connection {
        let socket: LoadSocket
        var outgoing: [UInt8] = []
        var sent = 0
        var incoming: [UInt8] = []
        /// The time at which its request is, or was, due.
        var due = ContinuousClock.now
        var state = State.ended

        enum State { case waiting, sending, receiving, ended }
    }

    private func runOnThisThread(_ script: some LoadScript, _ expected: Int) throws -> LoadResult {
        var peers: [Connection] = []
        defer { for peer in peers { peer.socket.end() } }
        for _ in 0..<connections { peers.append(Connection(socket: try LoadSocket(target))) }
        var polled = peers.map { pollfd(fd: $0.socket.descriptor, events: Int16(POLLIN), revents: 0) }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)
        defer { buffer.deallocate() }
        var result = LoadResult()
        let start = ContinuousClock.now
        var open = 0
        for index in peers.indices { open += try begin(&peers[index], index, script) ? 1 : 0 }
        var lastResponse = start
        while open > 0 {
            let waiting = try sendDue(&peers, start)
            _ = poll(&polled, nfds_t(polled.count), waiting ? 1 : 1_000)
            let now = ContinuousClock.now
            for number in polled.indices where polled[number].revents != 0 {
                guard let response = try receive(&peers[number], buffer) else { continue }
                lastResponse = ContinuousClock.now
                let latency = peers[number].due.duration(to: lastResponse)
                if response.status == expected {
                    result.responses += 1
                    result.latencies.add(latency)
                } else {
                    result.failures[response.status, default: 0] += 1
                }
                script.didReceive(
                    number,
                    LoadResponse(
                        status: response.status, etag: response.etag, body: peers[number].incoming[response.body],
                        latency: latency))
                peers[number].incoming.removeAll(keepingCapacity: true)
                if try !begin(&peers[number], number, script) { open -= 1 }
            }
            guard now < lastResponse + Self.responseDeadline else {
                throw BenchmarkError("the server has not responded for \(Self.responseDeadline)")
            }
        }
        result.elapsed = start.duration(to: lastResponse)
        return result
    }

    /// Begins the next request of a connection.
    ///
    /// - Returns: Whether the connection has another request.
    private func begin(_ peer: inout Connection, _ number: Int, _ script: some LoadScript) throws -> Bool {
        peer.outgoing.removeAll(keepingCapacity: true)
        peer.sent = 0
        let step = script.next(number, into: &peer.outgoing)
        target.addFields(to: &peer.outgoing)
        switch step {
        case .end:
            peer.state = .ended
            return false
        case .send:
            peer.due = .now
            try send(&peer)
        case .sendAt(let moment):
            peer.due = moment
            peer.state = .waiting
        }
        return true
    }

    /// Sends the requests that are due, and the rest of incomplete ones.
    ///
    /// - Returns: Whether any connection still has something to send.
    private func sendDue(_ peers: inout [Connection], _ start: ContinuousClock.Instant) throws -> Bool {
        var waits = false
        let now = ContinuousClock.now
        for index in peers.indices {
            switch peers[index].state {
            case .waiting where peers[index].due <= now: try send(&peers[index])
            case .sending: try send(&peers[index])
            case .waiting, .receiving, .ended: break
            }
            if peers[index].state == .waiting || peers[index].state == .sending { waits = true }
        }
        return waits
    }

    private func send(_ peer: inout Connection) throws {
        peer.state = .sending
        while peer.sent < peer.outgoing.count {
            guard let count = try peer.socket.send(peer.outgoing[peer.sent...]) else { return }
            peer.sent += count
        }
        peer.state = .receiving
    }

    private func receive(
        _ peer: inout Connection, _ buffer: UnsafeMutableRawBufferPointer
    ) throws -> ResponseParser.Found? {
        guard let count = try peer.socket.receive(into: &peer.incoming, buffer: buffer) else { return nil }
        guard count > 0 else { throw BenchmarkError("the server closed a connection") }
        return try ResponseParser.find(in: peer.incoming)
    }
}
