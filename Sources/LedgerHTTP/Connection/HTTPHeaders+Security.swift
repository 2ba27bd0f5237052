internal import NIOHTTP1

extension HTTPHeaders {
    /// Adds the headers that protect browsers, unless a route has set them.
    ///
    /// A browser must not guess the type of a response, embed it in a page of another site, or run anything in it.
    mutating func addSecurityHeaders() {
        var hasContentPolicy = false
        var hasResourcePolicy = false
        for (name, _) in self {
            switch name.utf8.count {
            case 23 where name.lowercased() == "content-security-policy": hasContentPolicy = true
            case 28 where name.lowercased() == "cross-origin-resource-policy": hasResourcePolicy = true
            default: break
            }
        }
        add(name: "X-Content-Type-Options", value: "nosniff")
        if !hasContentPolicy {
            add(name: "Content-Security-Policy", value: "default-src 'none'; frame-ancestors 'none'")
        }
        if !hasResourcePolicy { add(name: "Cross-Origin-Resource-Policy", value: "same-origin") }
    }
}
