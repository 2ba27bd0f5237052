import Ledger
import Synchronization

/// The state that a client shares with the reporters of its jobs.
final class LedgerContact: Sendable {
    private struct State {
        var written = WrittenSequences()
        var outage = Outage()
    }

    private let state = Mutex(State())

    /// The last event of the job that this client appended; 0 if it appended none.
    func lastWritten(to job: JobID) -> Int64 { state.withLock { $0.written[job] } }

    func recordWrite(_ sequence: Int64, to job: JobID) { state.withLock { $0.written.note(sequence, to: job) } }

    /// Ends an outage: the ledger has taken reports.
    func recordResponse() { state.withLock { $0.outage.recordResponse() } }

    /// The moment until which a caller that begins to wait now may wait.
    func waitLimit(now: ContinuousClock.Instant) -> ContinuousClock.Instant {
        state.withLock { $0.outage.waitLimit(now: now) }
    }

    /// Whether a failure is the first of its outage, and so to be logged.
    func isFirstFailure() -> Bool { state.withLock { $0.outage.isFirstFailure() } }
}

/// The last events that a client appended, by their jobs; of a bounded number of jobs.
struct WrittenSequences {
    /// Some 50 bytes each. Nobody reads the progress of that many jobs in the moment before it is folded.
    static let jobsMax = 10_000

    private var sequences: [JobID: Int64] = [:]

    subscript(job: JobID) -> Int64 { sequences[job] ?? 0 }

    mutating func note(_ sequence: Int64, to job: JobID) {
        if sequences[job] == nil, sequences.count >= Self.jobsMax { sequences.remove(at: sequences.startIndex) }
        sequences[job] = max(self[job], sequence)
    }
}

/// Bounds how long callers wait for a ledger that does not answer, and how often that is logged.
///
/// All callers together wait once: an outage must not slow a process that carries out one task after the other.
struct Outage {
    /// The longest wait for reports to be recorded.
    static let waitMax: Duration = .seconds(5)
    /// The pause after which a ledger is waited for again that has not answered since.
    static let renewal: Duration = .seconds(60)

    private var waitEnd: ContinuousClock.Instant?
    private var isLogged = false

    mutating func recordResponse() {
        waitEnd = nil
        isLogged = false
    }

    /// The moment until which a caller that begins to wait now may wait. It may have passed.
    mutating func waitLimit(now: ContinuousClock.Instant) -> ContinuousClock.Instant {
        if let waitEnd, now < waitEnd + Self.renewal { return waitEnd }
        let end = now + Self.waitMax
        waitEnd = end
        return end
    }

    /// Whether a failure is the first of its outage.
    mutating func isFirstFailure() -> Bool {
        defer { isLogged = true }
        return !isLogged
    }
}
