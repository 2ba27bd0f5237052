internal import Foundation
internal import Glibc
internal import Synchronization

/// A receiver of webhooks, which may fail in several ways.
///
/// It listens on a free port of 127.0.0.1.
///
/// `@unchecked Sendable`: its threads share state that is protected by a lock, and descriptors that no other code uses.
public final class WebhookReceiver: @unchecked Sendable {
    /// The behaviour towards a request.
    public enum Behaviour: Hashable, Sendable {
        /// Responds with this status, and with these further lines of the head.
        case respond(Int, headers: [String] = [])
        /// Responds with 200 and a body without end.
        case flood
        /// Reads the request and does not respond.
        case hang
        /// Reads the request and closes the connection.
        case hangUp
    }

    /// A received request.
    public struct Request: Sendable {
        public let path: String
        /// The headers by their names in lower case.
        public let headers: [String: String]
        public let body: [UInt8]
    }

    private struct State {
        var behaviour: Behaviour
        var requests: [Request] = []
        var open: Set<Int32> = []
        var isClosed = false
    }

    private let state: Mutex<State>
    private let listener: Int32
    public let port: Int

    /// Starts a receiver.
    public init(_ behaviour: Behaviour = .respond(204)) throws {
        state = Mutex(State(behaviour: behaviour))
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let code = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { socket in
                bind(listener, socket, length) == 0 && listen(listener, 64) == 0
                    && getsockname(listener, socket, &length) == 0
            }
        }
        guard code else { throw ReceiverFailure() }
        self.listener = listener
        port = Int(UInt16(bigEndian: address.sin_port))
        Thread.detachNewThread { self.accept() }
    }

    private struct ReceiverFailure: Error {}

    public func url(_ path: String = "/hook") -> String { "http://localhost:\(port)\(path)" }

    /// The requests so far, in the order of arrival.
    public var requests: [Request] { state.withLock { $0.requests } }

    /// Changes the behaviour towards further requests.
    public func behave(_ behaviour: Behaviour) { state.withLock { $0.behaviour = behaviour } }

    /// Closes all connections and accepts no more.
    public func close() {
        state.withLock { state in
            guard !state.isClosed else { return }
            state.isClosed = true
            for descriptor in state.open { shutdown(descriptor, Int32(SHUT_RDWR)) }
            shutdown(listener, Int32(SHUT_RDWR))
        }
    }

    private func accept() {
        while true {
            let connection = Glibc.accept(listener, nil, nil)
            guard connection >= 0 else { break }
            let isOpen = state.withLock { state in
                if !state.isClosed { state.open.insert(connection) }
                return !state.isClosed
            }
            guard isOpen else {
                Glibc.close(connection)
                break
            }
            Thread.detachNewThread {
                self.serve(connection)
                self.state.withLock { state in
                    state.open.remove(connection)
                    _ = Glibc.close(connection)
                }
            }
        }
        Glibc.close(listener)
    }

    private func serve(_ connection: Int32) {
        guard let request = read(connection) else { return }
        let behaviour = state.withLock { state in
            state.requests.append(request)
            return state.behaviour
        }
        switch behaviour {
        case .hangUp: return
        case .hang:
            var byte: UInt8 = 0
            // Until the other side closes the connection.
            while recv(connection, &byte, 1, 0) > 0 {}
        case .respond(let status, let headers):
            let lines = ["HTTP/1.1 \(status) X"] + headers + ["content-length: 0", "connection: close", "", ""]
            send(lines.joined(separator: "\r\n"), connection)
        case .flood:
            send("HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n", connection)
            let part = String(repeating: "x", count: 65_536)
            while send(part, connection) {}
        }
    }

    @discardableResult
    private func send(_ text: String, _ connection: Int32) -> Bool {
        let bytes = Array(text.utf8)
        var start = 0
        while start < bytes.count {
            let sent = bytes[start...].withUnsafeBytes {
                Glibc.send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard sent > 0 else { return false }
            start += sent
        }
        return true
    }

    private func read(_ connection: Int32) -> Request? {
        var received: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 65_536)
        let end = Array("\r\n\r\n".utf8)
        while true {
            let count = recv(connection, &part, part.count, 0)
            guard count > 0 else { return nil }
            received += part[..<count]
            guard let head = received.firstRange(of: end) else { continue }
            let lines = String(decoding: received[..<head.lowerBound], as: UTF8.self).split(separator: "\r\n")
            var headers: [String: String] = [:]
            for line in lines.dropFirst() {
                guard let colon = line.firstIndex(of: ":") else { continue }
                let value = line[line.index(after: colon)...].drop { $0 == " " }
                headers[line[..<colon].lowercased()] = String(value)
            }
            let length = headers["content-length"].flatMap { Int($0) } ?? 0
            guard received.count >= head.upperBound + length else { continue }
            let path = lines.first.map { $0.split(separator: " ") } ?? []
            return Request(
                path: path.count > 1 ? String(path[1]) : "", headers: headers,
                body: Array(received[head.upperBound..<head.upperBound + length]))
        }
    }
}
