import Ledger
import Synchronization

/// The state that a client shares with the clients of its jobs' reporters.
final class SharedClientState: Sendable {
    private struct State {
        var written = WrittenSequences()
        var outage = Outage()
    }

    private let state = Mutex(State())
    /// The optional fields of events that the ledger knows.
    let fields = FieldSupport()

    /// Returns the last sequence that this client appended to the job, or 0.
    func lastWritten(to job: JobID) -> EventSequence { state.withLock { $0.written[job] } }

    func recordWrite(_ sequence: EventSequence, to job: JobID) {
        state.withLock { $0.written.record(sequence, to: job) }
    }

    /// Ends an outage, because the ledger has responded.
    func recordResponse() { state.withLock { $0.outage.recordResponse() } }

    /// Returns the moment until which a caller that starts to wait now may wait.
    func waitLimit(now: ContinuousClock.Instant) -> ContinuousClock.Instant {
        state.withLock { $0.outage.waitLimit(now: now) }
    }

    /// Returns whether a failure is the first of its outage and must be logged.
    func isFirstFailure() -> Bool { state.withLock { $0.outage.isFirstFailure() } }
}
