/// Which events count: a rule over the ledger, so it can be asked differently without touching the ledger.
public enum CountingPolicy: String, CaseIterable, Hashable, Sendable {
    /// The last execution of each task. The default, and what snapshots keep up to date.
    case last
    /// Of each task the highest execution whose outcome is `succeeded`; a task without one counts nothing.
    case lastSuccessful = "last_successful"
    /// Every execution: what was attempted.
    case all
}
