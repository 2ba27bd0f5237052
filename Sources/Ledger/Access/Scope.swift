/// A group of operations that a token permits.
public enum Scope: String, CaseIterable, Hashable, Sendable {
    /// Reading everything about jobs.
    case read
    /// Creating jobs, appending events and starting executions.
    case report
    /// Everything, including the operations of the other scopes.
    case admin
}
