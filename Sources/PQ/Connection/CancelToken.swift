internal import CLibPQ

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
