internal import Ledger

/// Where the jobs stood when we last wrote to them, and what the database's clock said: so that a group can be written
/// without asking first. What is remembered here may be out of date at any moment, since other servers write as well;
/// the statement that writes compares.
struct HeadCache {
    /// How many jobs are remembered; with more all are forgotten, which costs a round trip each.
    private static let jobsMax = 50_000
    /// How long a job that another server writes to as well is asked for first.
    private static let sharedPause: Duration = .seconds(2)
    /// How long a reading of the clock is good for. Two clocks drift apart by less than a millisecond in this time.
    private static let readingMax: Duration = .seconds(10)

    private enum Entry {
        case head(JobHead)
        /// Another server was ahead of us.
        case shared(until: ContinuousClock.Instant)
    }

    private var entries: [JobID: Entry] = [:]
    private var reading: (clock: Timestamp, at: ContinuousClock.Instant)?

    /// The heads of all these jobs and the time by the database's clock, where all that is known.
    func known(_ requests: [AppendRequest]) -> (heads: [JobID: JobHead], clock: Timestamp)? {
        guard let reading else { return nil }
        let age = reading.at.duration(to: .now)
        guard age < Self.readingMax else { return nil }
        var heads: [JobID: JobHead] = [:]
        for request in requests {
            for part in request.parts where heads[part.job] == nil {
                guard case .head(let head) = entries[part.job] else { return nil }
                heads[part.job] = head
            }
        }
        // The clock was read before the answer arrived, so what we add to it never brings us ahead of it.
        let (seconds, attoseconds) = age.components
        let microseconds = seconds * 1_000_000 + attoseconds / 1_000_000_000_000
        return (heads, Timestamp(microseconds: reading.clock.microseconds + microseconds))
    }

    mutating func remember(_ heads: [(job: JobID, head: JobHead)], clock: Timestamp) {
        reading = (clock, .now)
        if entries.count + heads.count > Self.jobsMax { entries = [:] }
        let now = ContinuousClock.now
        for (job, head) in heads {
            if case .shared(let until) = entries[job], until > now { continue }
            entries[job] = .head(head)
        }
    }

    /// Another server writes to one of these jobs, or the clock was wrong.
    mutating func noteOvertaken(_ requests: [AppendRequest]) {
        let until = ContinuousClock.now + Self.sharedPause
        for request in requests { for part in request.parts { entries[part.job] = .shared(until: until) } }
        reading = nil
    }

    /// It is not known how far these jobs are.
    mutating func forget(_ requests: [AppendRequest]) {
        for request in requests { for part in request.parts { entries[part.job] = nil } }
    }
}
