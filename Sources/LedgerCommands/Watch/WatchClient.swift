import Ledger
import LedgerWire
import ProgressLedgerClient

/// A client that follows a job and reconnects after a lost connection.
struct WatchClient: Sendable {
    /// An update of a followed job.
    enum Update: Sendable {
        /// A snapshot, with the server's clock; nil if the server did not send it.
        case snapshot(JobView, json: String, clock: ServerClock?)
        case lost(LedgerClientError, retryIn: Duration)
        case end
    }

    let client: LedgerClient
    let job: JobID
    /// The time to retry a lost connection.
    ///
    /// If it is nil, retries never end once the first snapshot has arrived.
    let patience: Duration?

    private static let pauseMin = Duration.milliseconds(500)
    private static let pauseMax = Duration.seconds(10)

    /// Follows the job until it ends.
    ///
    /// - Parameter receive: Receives the updates; returns true to stop.
    func follow(_ receive: (Update) async -> Bool) async throws {
        var sequence: EventSequence?
        var lostAt: ContinuousClock.Instant?
        var retries = 0
        while true {
            let failure: LedgerClientError
            do throws(LedgerClientError) {
                var updates = client.watch(job, after: sequence).makeAsyncIterator()
                while let update = try await updates.next() {
                    (lostAt, retries) = (nil, 0)
                    guard case .snapshot(let next, let json) = update else {
                        _ = await receive(.end)
                        return
                    }
                    sequence = next.snapshot.sequence
                    if await receive(.snapshot(next, json: json, clock: updates.clock)) { return }
                }
                return
            } catch {
                failure = error
            }
            guard mayRetry(after: failure, sequence, lostAt) else { throw failure }
            lostAt = lostAt ?? .now
            // A random factor spreads the clients that lost the same server.
            let pause = min(Self.pauseMax, Self.pauseMin * (1 << min(retries, 8))) * Double.random(in: 0.5..<1)
            retries += 1
            let delay = max(pause, failure.retryAfter ?? .zero)
            if await receive(.lost(failure, retryIn: delay)) { return }
            try await Task.sleep(for: delay)
        }
    }

    private func mayRetry(
        after failure: LedgerClientError, _ sequence: EventSequence?, _ lostAt: ContinuousClock.Instant?
    ) -> Bool {
        switch failure.code {
        case .unreachable, .unavailable, .outcomeUnknown, .deadlineExceeded, .serverFailed: break
        default: return false
        }
        if let patience { return (lostAt ?? .now).duration(to: .now) < patience }
        return sequence != nil
    }

    /// The silent executions; nil if the request fails.
    func silentExecutions() async -> [SilentExecution]? {
        do { return try await SilentExecution.find(in: job, client) } catch { return nil }
    }

    /// The differences between two snapshots, which explain a decrease.
    ///
    /// The result is nil if the request fails; the numbers are then shown without a cause.
    func difference(_ sequences: ClosedRange<EventSequence>) async -> SnapshotDiff? {
        do {
            return try await client.sendForJSON(
                .difference(
                    job, from: sequences.lowerBound.description, to: sequences.upperBound.description, policy: nil,
                    limit: 20),
                as: SnapshotDiff.self
            ).value
        } catch {
            return nil
        }
    }
}
