internal import Ledger

/// A cache of job heads and of the database's clock.
///
/// It saves the reads before a write. Other servers write as well, so an entry may be stale at any moment. The
/// conditional statement compares it.
struct HeadCache {
    /// The maximum number of jobs, which take 20 MB.
    ///
    /// An evicted job costs a round trip at its next append.
    private static let jobsMax = 100_000
    /// The time for which the head of a shared job is read before each write.
    static let sharedFor: Duration = .seconds(2)
    /// The maximum age of a clock reading.
    ///
    /// Two clocks drift apart by less than a millisecond in this time.
    static let readingAgeMax: Duration = .seconds(10)

    private enum Entry {
        case head(JobHead)
        /// Another server writes to this job.
        case shared(until: ContinuousClock.Instant)
    }

    private var entries = BoundedCache<JobID, Entry>(costMax: jobsMax)
    private var reading: (clock: Timestamp, at: ContinuousClock.Instant)?

    /// The heads of all jobs and the database time; nil unless all are cached.
    ///
    /// A head does not suffice for a conditional append if the events between its condition and the head are unknown.
    func cached(
        _ requests: [AppendRequest], now: ContinuousClock.Instant
    ) -> (heads: [JobID: JobHead], clock: Timestamp)? {
        guard let reading else { return nil }
        let age = reading.at.duration(to: now)
        guard age < Self.readingAgeMax else { return nil }
        var heads: [JobID: JobHead] = [:]
        for request in requests {
            for part in request.parts {
                guard let head = heads[part.job] ?? cachedHead(part.job) else { return nil }
                if let after = part.unlessCanceledAfter, after < head.cancelsKnownAfter { return nil }
                heads[part.job] = head
            }
        }
        // The reading is older than its age here, so the sum is never ahead of the database's clock.
        let (seconds, attoseconds) = age.components
        let microseconds = seconds * 1_000_000 + attoseconds / 1_000_000_000_000
        return (heads, Timestamp(microseconds: reading.clock.microseconds + microseconds))
    }

    /// Stores heads and the database time that was read no later than `readAt`.
    mutating func store(
        _ heads: [(job: JobID, head: JobHead)], clock: Timestamp, readAt: ContinuousClock.Instant,
        now: ContinuousClock.Instant
    ) {
        guard !heads.isEmpty else { return }
        reading = (clock, readAt)
        for (job, head) in heads {
            if case .shared(let until) = entry(job), until > now { continue }
            put(.head(head), job)
        }
    }

    /// Stores heads that were read earlier, except those of cached jobs.
    ///
    /// A cached head may be newer.
    mutating func storeUnlessCached(
        _ heads: [JobID: JobHead], clock: Timestamp, readAt: ContinuousClock.Instant, now: ContinuousClock.Instant
    ) {
        let unknown = heads.filter { entry($0.key) == nil }.map { (job: $0.key, head: $0.value) }
        store(unknown, clock: clock, readAt: readAt, now: now)
    }

    /// Marks jobs as shared, because another server writes to them.
    mutating func markShared(_ jobs: [JobID], now: ContinuousClock.Instant) {
        let until = now + Self.sharedFor
        for job in jobs { put(.shared(until: until), job) }
    }

    /// Discards the clock reading.
    mutating func invalidateClock() { reading = nil }

    /// Removes the jobs of these requests.
    mutating func invalidate(_ requests: [AppendRequest]) {
        for request in requests { for part in request.parts { entries.remove(part.job) } }
    }

    private func cachedHead(_ job: JobID) -> JobHead? {
        if case .head(let head) = entry(job) { head } else { nil }
    }

    private func entry(_ job: JobID) -> Entry? { entries.peek(job) }

    private mutating func put(_ entry: Entry, _ job: JobID) { entries.put(entry, job) }
}
