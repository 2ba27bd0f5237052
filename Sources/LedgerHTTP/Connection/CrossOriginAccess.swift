internal import NIOHTTP1

/// The response headers that let pages of configured origins read responses.
///
/// They are those of the Fetch standard's CORS protocol. Cookies are never accepted from such pages.
struct CrossOriginAccess: Sendable {
    /// The origin of the page, as the browser sent it.
    ///
    /// Nil if the response is not for a page of a configured origin.
    private let origin: String?
    /// Whether the browser asks if it may send a request.
    private let isPreflight: Bool

    /// The request headers of the routes that a page may set.
    private static let requestHeaders =
        "Accept, Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, Prefer, Traceparent"
    /// The response headers that a page may read, beyond those that it may always read.
    private static let responseHeaders = "Allow, ETag, Location, Preference-Applied, Retry-After, X-Request-Id"
    /// The seconds for which a browser remembers the response to a preflight request.
    private static let maxAge = "600"

    /// - Parameters:
    ///   - head: The head of the request.
    ///   - origins: The configured origins.
    init(_ head: HTTPRequestHead, origins: Set<Origin>) {
        let sent = head.headers["origin"]
        origin = sent.count == 1 ? sent.first.flatMap { Origin($0).map(origins.contains) == true ? $0 : nil } : nil
        isPreflight =
            origin != nil && head.method == .OPTIONS && head.headers.contains(name: "access-control-request-method")
    }

    /// Adds the headers to a response.
    func add(to headers: inout HTTPHeaders) {
        // Caches must not give the response for one origin to another one.
        headers.add(name: "vary", value: "Origin")
        guard let origin else { return }
        headers.add(name: "access-control-allow-origin", value: origin)
        headers.add(name: "access-control-expose-headers", value: Self.responseHeaders)
        guard isPreflight else { return }
        headers.add(name: "access-control-allow-methods", value: headers.first(name: "allow") ?? "GET, HEAD, OPTIONS")
        headers.add(name: "access-control-allow-headers", value: Self.requestHeaders)
        headers.add(name: "access-control-max-age", value: Self.maxAge)
    }
}
