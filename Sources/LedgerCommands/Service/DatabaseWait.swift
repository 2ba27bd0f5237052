import LedgerStore
import Logging
import PQ

/// Retries while the database is unavailable or recovering.
///
/// Useful if the database is started at the same time as the service.
struct DatabaseWait: Sendable {
    /// The time to retry; zero disables retries.
    let limit: Duration
    let logger: Logger

    /// The pause between attempts.
    private static let pause = Duration.milliseconds(500)

    /// Repeats the body while the database is unavailable and time is left.
    ///
    /// - Throws: The last error of the body.
    func retrying<Result>(_ body: () async throws -> Result) async throws -> Result {
        let end = ContinuousClock.now + limit
        var hasLogged = false
        while true {
            do {
                return try await body()
            } catch {
                guard Self.isTransient(error), .now + Self.pause < end else { throw error }
                if !hasLogged {
                    logger.notice(
                        "waiting for the database",
                        metadata: ["error": "\(error)", "wait.max": "\(limit.components.seconds) s"])
                }
                hasLogged = true
            }
            try await Task.sleep(for: Self.pause)
        }
    }

    /// Whether an error may pass by itself; a wrong password, name or role does not.
    ///
    /// An unknown outcome may be retried: the bodies only read or migrate the schema, and are safe to repeat.
    static func isTransient(_ error: any Error) -> Bool {
        guard let error = CommandFailure.databaseError(behind: error), error.isRetrySafe || error.isOutcomeUnknown,
            !error.isRefusedSession
        else { return false }
        return !["28", "3D"].contains(error.sqlState?.errorClass ?? "")
    }
}
