internal import Ledger
internal import LedgerWire
internal import NIOCore

/// A variant of a route that responds on the event loop of its connection.
///
/// It needs no task, no router and no stream for the body, which together cost more than the rest of a small request.
/// ``FastPathHandler`` calls it for requests that match ``FastPathMatcher``; all others go to ``Route/handle``.
struct FastPath: Sendable {
    /// The maximum length of a body in bytes; 0 if the route takes none.
    ///
    /// Parsing a longer body would delay the other connections of the event loop.
    var bodyBytesMax = 0
    /// Responds to a request.
    ///
    /// Called on `loop`, and must not block. It calls `whenDone` once, on `loop`. The caller turns an error into a
    /// problem, as it does on the routed path.
    let respond:
        @Sendable (
            _ request: FastPathRequest, _ loop: any EventLoop,
            _ whenDone: @escaping @Sendable (Result<LedgerResponse, any Error>) -> Void
        ) -> Void
}

/// A request about one job, parsed for a ``FastPath``.
struct FastPathRequest: Sendable {
    let job: JobID
    /// The caller's access.
    var access = Access.everything
    /// The value of `Authorization`.
    var authorization: String?
    /// Whether the client accepts a compressed response.
    var acceptsGzip = false
    /// The values of `If-None-Match`.
    var ifNoneMatch: [String] = []
    /// The format of the body, if the route takes one.
    var format = EventRequest.Format.json
    var body: [UInt8] = []
}
