internal import Glibc

/// Tells which of many sockets have something to read (poll(2)).
struct Poller {
    private var sockets: [pollfd] = []

    /// From now on this socket is looked at too; its number is how many there were before.
    mutating func add(_ socket: LoadSocket) {
        sockets.append(pollfd(fd: socket.descriptor, events: Int16(POLLIN), revents: 0))
    }

    /// Waits until some have something to read, or so long. Costs a look at each of them.
    ///
    /// - Returns: The numbers of those.
    mutating func wait(milliseconds: Int32) throws -> [Int] {
        let count = poll(&sockets, nfds_t(sockets.count), milliseconds)
        guard count >= 0 || errno == EINTR else {
            throw BenchmarkError("poll fails: \(String(cString: strerror(errno)))")
        }
        return count > 0 ? sockets.indices.filter { sockets[$0].revents != 0 } : []
    }
}
