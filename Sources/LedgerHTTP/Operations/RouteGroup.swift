/// The group of a route in the description: its tag.
enum RouteGroup: String, CaseIterable, Sendable {
    case jobs, reporting, reading, watching, proofs, replays, tokens, notifications, operations, pages, tilebox

    init(of route: Route) {
        let parts = route.path.split(separator: "/").map(String.init)
        self =
            switch (parts.first, parts.last) {
            case _ where route.operation.hasPrefix("tilebox"): .tilebox
            case ("v1", "badge.svg"): .pages
            case ("v1", "watch"): .watching
            case ("v1", "verify"), ("v1", "export"), ("v1", "imports"), ("v1", "heads"): .proofs
            case ("v1", "executions"): .reporting
            case ("v1", "events"): route.isRead ? .reading : .reporting
            case ("v1", "status"), ("v1", "limits"): .operations
            case ("v1", _): Self.groups[parts[1]] ?? (parts.count > 3 ? .reading : .jobs)
            case ("healthz", _), ("readyz", _), ("metrics", _), ("openapi.json", _): .operations
            default: .pages
            }
    }

    private static let groups: [String: RouteGroup] = [
        "replays": .replays, "tokens": .tokens, "subscriptions": .notifications, "estimates": .reading,
    ]

    /// One sentence for readers of the description.
    var description: String {
        switch self {
        case .jobs: "Create jobs, find them, and list them."
        case .reporting: "Report what tasks do. Reports are safe to repeat."
        case .reading: "Read the progress of a job, its tasks and events, and why its numbers are what they are."
        case .watching: "Follow jobs live over server-sent events."
        case .proofs: "Verify the hash chains, and move events between ledgers."
        case .replays: "Recompute projections from the events, and compare or replace the live ones."
        case .tokens: "Manage access tokens."
        case .notifications: "Manage webhooks and read their deliveries."
        case .operations: "Health, metrics and limits of the server."
        case .pages: "Pages and pictures for people."
        case .tilebox: "The read-only calls of Tilebox's SDK."
        }
    }
}
