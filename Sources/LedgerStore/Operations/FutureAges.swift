internal import Ledger
internal import Synchronization

/// Remembers since when events have been lacking that were recorded in the future.
///
/// Their age cannot be told from the database: its clock was ahead when they were recorded, and has been set back since.
/// Without this, nobody would notice for as long as it had been ahead that nothing is folded.
final class FutureAges: Sendable {
    private struct Entry {
        let next: Int64
        let since: ContinuousClock.Instant
    }

    private let entries = Mutex<[JobID: Entry]>([:])

    /// How many seconds ago the oldest of these jobs was first seen where it is now.
    ///
    /// - Parameter jobs: The jobs that lack such an event, with the sequence of the first one.
    func oldest(of jobs: [JobID: Int64], now: ContinuousClock.Instant = .now) -> Double {
        let oldest = entries.withLock { entries in
            entries = jobs.reduce(into: [:]) { kept, job in
                let known = entries[job.key].flatMap { $0.next == job.value ? $0 : nil }
                kept[job.key] = known ?? Entry(next: job.value, since: now)
            }
            return entries.values.map(\.since).min()
        }
        guard let oldest else { return 0 }
        let (seconds, attoseconds) = oldest.duration(to: now).components
        return Double(seconds) + Double(attoseconds) / 1e18
    }
}
