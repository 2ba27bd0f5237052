internal import CLibPQ
internal import Glibc

/// Asks the server to cancel what a connection is doing.
///
/// `@unchecked Sendable`: libpq documents `PQcancel` as callable from any thread, and the object does not change.
@safe final class CancelToken: @unchecked Sendable {
    private let handle: OpaquePointer

    init(_ handle: OpaquePointer) {
        unsafe self.handle = handle
    }

    deinit {
        unsafe PQfreeCancel(handle)
    }

    /// Sends the request from a thread of its own: it makes a connection, and blocks until the server has closed it,
    /// which it does when it has signalled the process that is to stop. Then the closure is called, on that thread.
    func fire(whenTaken: @escaping @Sendable () -> Void) {
        Thread.detached(named: "pq-cancel") {
            var reason = [CChar](repeating: 0, count: 256)
            // Where the request cannot be sent the statement goes on until its deadline's grace has passed, when the
            // connection is given up; there is nobody to tell here.
            _ = unsafe PQcancel(self.handle, &reason, Int32(reason.count))
            whenTaken()
        }
    }
}

/// Threads for the few calls of libpq that block.
enum Thread {
    private final class Body: Sendable {
        let run: @Sendable () -> Void

        init(_ run: @escaping @Sendable () -> Void) {
            self.run = run
        }
    }

    /// Runs the closure on a thread of its own, which ends with it.
    static func detached(named name: String, _ run: @escaping @Sendable () -> Void) {
        var thread = pthread_t()
        let body = unsafe Unmanaged.passRetained(Body(run)).toOpaque()
        let failure = unsafe pthread_create(&thread, nil, threadMain, body)
        precondition(failure == 0, "the system refuses another thread: error \(failure)")
        _ = thread
        _ = pthread_detach(thread)
    }

    fileprivate static func run(_ pointer: UnsafeMutableRawPointer) {
        unsafe Unmanaged<Body>.fromOpaque(pointer).takeRetainedValue().run()
    }
}

private func threadMain(_ pointer: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    if let pointer = unsafe pointer { unsafe Thread.run(pointer) }
    return nil
}
