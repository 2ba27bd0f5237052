import LedgerStore
import Logging
import PQ

/// Waits for a database that is away or recovers, such as one that is started at the same time.
struct DatabaseWait: Sendable {
    /// How long to try again; zero is not at all.
    let limit: Duration
    let logger: Logger

    /// The pauses between tries.
    private static let pause = Duration.milliseconds(500)

    /// Runs the body again until it does not fail because the database is away, or the time is over.
    ///
    /// - Throws: What the body threw the last time.
    func whileAway<Result>(_ body: () async throws -> Result) async throws -> Result {
        let end = ContinuousClock.now + limit
        var isLogged = false
        while true {
            do {
                return try await body()
            } catch {
                guard Self.mayPass(error), .now + Self.pause < end else { throw error }
                if !isLogged {
                    logger.notice(
                        "waiting for the database",
                        metadata: ["error": "\(error)", "wait.max": "\(limit.components.seconds) s"])
                }
                isLogged = true
            }
            try await Task.sleep(for: Self.pause)
        }
    }

    /// Whether the database may be back by itself. A wrong password, name or role stays wrong.
    ///
    /// An unknown outcome is no obstacle: what is waited for only reads, or brings the schema up to date, and is safe to
    /// repeat.
    static func mayPass(_ error: any Error) -> Bool {
        guard let error = CommandFailure.databaseError(behind: error), error.isRetrySafe || error.isOutcomeUnknown,
            !error.isRefusedSession
        else { return false }
        return !["28", "3D"].contains(error.sqlState?.errorClass ?? "")
    }
}
