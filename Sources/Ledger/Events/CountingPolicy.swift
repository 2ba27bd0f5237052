/// A rule that decides which executions count.
///
/// It is applied when reading, so a different policy needs no change to the ledger.
public enum CountingPolicy: String, CaseIterable, Hashable, Sendable {
    /// The last execution of each task: the default, kept up to date in snapshots.
    case last
    /// The highest execution of each task with outcome `succeeded`.
    ///
    /// A task without such an execution counts nothing.
    case lastSuccessful = "last_successful"
    /// All executions: the attempted units.
    case all
}
