internal import Ledger

/// Where the jobs stood when we last wrote to them or looked, and what the database's clock said: so that a group can be
/// written without asking first. What is remembered here may be out of date at any moment, since other servers write as
/// well; the statement that writes compares.
struct HeadCache {
    /// Of how many jobs; one that was forgotten costs a round trip when it is written to again. 20 MB.
    private static let jobsMax = 100_000
    /// How long a job that another server writes to as well is asked for first.
    private static let sharedPause: Duration = .seconds(2)
    /// How long a reading of the clock is good for. Two clocks drift apart by less than a millisecond in this time.
    private static let readingMax: Duration = .seconds(10)

    private enum Entry {
        case head(JobHead)
        /// Another server was ahead of us.
        case shared(until: ContinuousClock.Instant)
    }

    private var entries = ClockCache<JobID, Entry>(costMax: jobsMax)
    private var reading: (clock: Timestamp, at: ContinuousClock.Instant)?

    /// The heads of all these jobs and the time by the database's clock, where all that is cached.
    func cached(_ requests: [AppendRequest]) -> (heads: [JobID: JobHead], clock: Timestamp)? {
        guard let reading else { return nil }
        let age = reading.at.duration(to: .now)
        guard age < Self.readingMax else { return nil }
        var heads: [JobID: JobHead] = [:]
        for request in requests {
            for part in request.parts where heads[part.job] == nil {
                guard case .head(let head) = entry(part.job) else { return nil }
                heads[part.job] = head
            }
        }
        // The clock was read before the answer arrived, so what we add to it never brings us ahead of it.
        let (seconds, attoseconds) = age.components
        let microseconds = seconds * 1_000_000 + attoseconds / 1_000_000_000_000
        return (heads, Timestamp(microseconds: reading.clock.microseconds + microseconds))
    }

    /// The jobs of a request of which nothing is cached.
    func unknownJobs(_ request: AppendRequest) -> [JobID] {
        request.parts.map(\.job).filter { entry($0) == nil }
    }

    /// Remembers where these jobs stand, and what the database's clock said before `readAt`, when that was found out;
    /// without any, it said nothing.
    mutating func store(
        _ heads: [(job: JobID, head: JobHead)], clock: Timestamp, readAt: ContinuousClock.Instant = .now
    ) {
        guard !heads.isEmpty else { return }
        reading = (clock, readAt)
        let now = ContinuousClock.now
        for (job, head) in heads {
            if case .shared(let until) = entry(job), until > now { continue }
            put(.head(head), job)
        }
    }

    /// Remembers where these jobs stood when it was looked up, but for those that we have written to meanwhile.
    mutating func storeUnlessCached(_ heads: [JobID: JobHead], clock: Timestamp, readAt: ContinuousClock.Instant = .now)
    {
        let unknown = heads.filter { entry($0.key) == nil }.map { (job: $0.key, head: $0.value) }
        store(unknown, clock: clock, readAt: readAt)
    }

    /// Another server writes to these jobs.
    mutating func markShared(_ jobs: [JobID]) {
        let until = ContinuousClock.now + Self.sharedPause
        for job in jobs { put(.shared(until: until), job) }
    }

    /// What the clock said may be wrong by now.
    mutating func invalidateClock() { reading = nil }

    /// It is not cached how far these jobs are.
    mutating func invalidate(_ requests: [AppendRequest]) {
        for request in requests { for part in request.parts { entries.remove(part.job) } }
    }

    private func entry(_ job: JobID) -> Entry? { entries.peek(job) }

    private mutating func put(_ entry: Entry, _ job: JobID) { entries.put(entry, job) }
}
