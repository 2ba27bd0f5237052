internal import Glibc

/// A set of sockets that can be polled for input (poll(2)).
struct Poller {
    private var sockets: [pollfd] = []

    /// Adds a socket; its number is the number of sockets before it.
    mutating func add(_ socket: LoadSocket) {
        sockets.append(pollfd(fd: socket.descriptor, events: Int16(POLLIN), revents: 0))
    }

    /// Waits until sockets have input, or the timeout passes; checks every socket.
    ///
    /// - Returns: The numbers of the sockets with input.
    mutating func wait(milliseconds: Int32) throws -> [Int] {
        let count = poll(&sockets, nfds_t(sockets.count), milliseconds)
        guard count >= 0 || errno == EINTR else {
            throw BenchmarkError("cannot poll: \(String(cString: strerror(errno)))")
        }
        return count > 0 ? sockets.indices.filter { sockets[$0].revents != 0 } : []
    }
}
