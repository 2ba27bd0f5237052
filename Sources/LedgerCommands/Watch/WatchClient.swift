import Ledger
import LedgerWire
import ProgressLedgerClient

/// Follows a job and comes back by itself where the connection is lost.
struct WatchClient: Sendable {
    /// What happens.
    enum News: Sendable {
        /// With the server's clock; nil if the server has not told it.
        case snapshot(JobAnswer, json: String, clock: ServerClock?)
        case lost(LedgerClientError, retryIn: Duration)
        case end
    }

    let client: LedgerClient
    let job: JobID
    /// How long the connection may be lost; nil is for ever, once it has been there.
    let patience: Duration?

    private static let pauseMin = Duration.milliseconds(500)
    private static let pauseMax = Duration.seconds(10)

    /// Follows it until it has finished.
    ///
    /// - Parameter hear: Takes the news; true where nothing more is wanted.
    func follow(_ hear: (News) async -> Bool) async throws {
        var sequence: Int64?
        var lostAt: ContinuousClock.Instant?
        var tries = 0
        while true {
            let failure: LedgerClientError
            do throws(LedgerClientError) {
                var updates = client.watch(job, after: sequence).makeAsyncIterator()
                while let update = try await updates.next() {
                    (lostAt, tries) = (nil, 0)
                    guard case .snapshot(let next, let json) = update else {
                        _ = await hear(.end)
                        return
                    }
                    sequence = next.snapshot.sequence
                    if await hear(.snapshot(next, json: json, clock: updates.clock)) { return }
                }
                return
            } catch {
                failure = error
            }
            guard mayReturn(after: failure, sequence, lostAt) else { throw failure }
            lostAt = lostAt ?? .now
            // Those who lose the same server come back at different times.
            let pause = min(Self.pauseMax, Self.pauseMin * (1 << min(tries, 8))) * Double.random(in: 0.5..<1)
            tries += 1
            let asked = max(pause, failure.retryAfter ?? .zero)
            if await hear(.lost(failure, retryIn: asked)) { return }
            try await Task.sleep(for: asked)
        }
    }

    private func mayReturn(
        after failure: LedgerClientError, _ sequence: Int64?, _ lostAt: ContinuousClock.Instant?
    ) -> Bool {
        switch failure.code {
        case .unreachable, .unavailable, .outcomeUnknown, .deadlineExceeded, .serverFailed: break
        default: return false
        }
        if let patience { return (lostAt ?? .now).duration(to: .now) < patience }
        return sequence != nil
    }

    /// The executions that have not reported for long; nil if the server does not tell.
    func silentExecutions() async -> [SilentExecution]? {
        do { return try await SilentExecution.find(in: job, client) } catch { return nil }
    }

    /// What happened between two snapshots, which says why numbers fell; nil where the server does not tell: then the
    /// numbers have to do.
    func difference(_ sequences: ClosedRange<Int64>) async -> SnapshotDiff? {
        do {
            return try await client.askForJSON(
                .difference(
                    job, from: String(sequences.lowerBound), to: String(sequences.upperBound), policy: nil, limit: 20),
                as: SnapshotDiff.self
            ).value
        } catch {
            return nil
        }
    }
}
