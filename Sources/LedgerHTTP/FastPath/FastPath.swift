internal import Ledger
internal import LedgerWire
internal import NIOCore

/// A form of a route that responds on the event loop of its connection.
///
/// It needs no task, no router and no stream for the body, which together cost more than the rest of a small request.
/// ``FastPathHandler`` calls it for requests without anything special about them; all others go to ``Route/handle``.
struct FastPath: Sendable {
    /// The longest body in bytes; 0 if the route takes none.
    ///
    /// Parsing a body must not keep the other connections of the event loop waiting.
    var bodyBytesMax = 0
    /// Responds to a request: calls `whenDone` once, on `loop`. Called on `loop`; must not block.
    let respond:
        @Sendable (
            _ request: FastPathRequest, _ loop: any EventLoop,
            _ whenDone: @escaping @Sendable (LedgerResponse) -> Void
        ) -> Void
}

/// A request about one job, as a ``FastPath`` gets it.
struct FastPathRequest: Sendable {
    let job: JobID
    /// The values of `If-None-Match`.
    var ifNoneMatch: [String] = []
    /// The format of the body, if the route takes one.
    var format = EventRequest.Format.json
    var body: [UInt8] = []
}
