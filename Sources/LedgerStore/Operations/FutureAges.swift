internal import Ledger
internal import Synchronization

/// Measures how long jobs have lacked events that were recorded in the future.
///
/// The database cannot provide that age: its clock was ahead when the events were recorded, and has been set back
/// since. Without this measure, a stopped projection would go unnoticed for as long as the clock had been ahead.
final class FutureAges: Sendable {
    private struct Entry {
        let next: Int64
        let since: ContinuousClock.Instant
    }

    private let entries = Mutex<[JobID: Entry]>([:])

    /// Returns how many seconds the oldest of these jobs has been behind.
    ///
    /// - Parameter jobs: The jobs that lack such an event, with the sequence of the first missing one.
    func oldest(of jobs: [JobID: Int64], now: ContinuousClock.Instant = .now) -> Double {
        let oldest = entries.withLock { entries in
            entries = jobs.reduce(into: [:]) { kept, job in
                let unchanged = entries[job.key].flatMap { $0.next == job.value ? $0 : nil }
                kept[job.key] = unchanged ?? Entry(next: job.value, since: now)
            }
            return entries.values.map(\.since).min()
        }
        guard let oldest else { return 0 }
        let (seconds, attoseconds) = oldest.duration(to: now).components
        return Double(seconds) + Double(attoseconds) / 1e18
    }
}
