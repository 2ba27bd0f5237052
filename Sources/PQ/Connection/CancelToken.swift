internal import CLibPQ

/// A handle that requests cancellation of a connection's current statement.
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

    /// Sends the request from a separate thread.
    ///
    /// The request opens a connection and blocks until the server has closed it. The server does that after it has
    /// signalled the process to cancel. Then the closure is called on that thread.
    func sendRequest(whenAccepted: @escaping @Sendable () -> Void) {
        Thread.detached(named: "pq-cancel") {
            var reason = [CChar](repeating: 0, count: 256)
            // If the request cannot be sent, the statement continues until the cancel grace period is over and the
            // connection is closed. No caller waits for an error here.
            _ = unsafe PQcancel(self.handle, &reason, Int32(reason.count))
            whenAccepted()
        }
    }
}
