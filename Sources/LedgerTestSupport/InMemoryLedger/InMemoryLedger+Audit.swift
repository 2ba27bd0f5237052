public import Ledger
internal import LedgerChain
public import LedgerStore

extension InMemoryLedger {
    /// The time by which another ledger's clock may be ahead: 5 min, in microseconds.
    private static let aheadMax: Int64 = 300_000_000

    public func verify(_ job: JobID, _ stretch: Verification.Range) -> Verification? {
        inspect(job) { job in
            var verifier = job.verifier(after: stretch.after, anchor: stretch.anchor)
            let rest = max(0, job.sequence - verifier.position.sequence)
            let last = verifier.position.sequence + min(rest, stretch.limit ?? rest)
            for one in job.events.dropFirst(verifier.position.sequence - .start) where one.event.sequence <= last {
                guard verifier.check(one.event, hash: one.hash) else { break }
            }
            if last >= job.sequence {
                verifier.finish(head: job.head, headRecordedAt: job.recordedAt, lastStored: job.sequence)
            }
            return verifier.verification(ledgerSequence: job.sequence)
        }
    }

    /// This ledger retires no jobs.
    public func retirement(of job: JobID) -> Retirement? { nil }

    public func heads(after cursor: JobID?, limit: Int) -> [LedgerHead] {
        let newer = jobs.filter { job in cursor.map { job.id > $0 } ?? true }
        return newer.sorted { $0.id < $1.id }.prefix(limit).map { LedgerHead(job: $0.id, position: $0.head) }
    }

    public func excerpt(_ job: JobID, after sequence: EventSequence, limit: Int) -> LedgerExcerpt? {
        inspect(job) { job in
            LedgerExcerpt(
                job: job.id, head: job.head,
                events: Array(job.events.filter { $0.event.sequence > sequence }.prefix(limit)))
        }
    }

    // MARK: Import

    public func importExcerpt(_ excerpt: LedgerExcerpt) throws(StoreError) -> ImportResult {
        try change { state, now throws(StoreError) in
            func refuse(_ code: StoreError.Code, _ reason: String) -> StoreError {
                StoreError(code, reason, jobs: [excerpt.job])
            }
            guard let first = excerpt.events.first else { throw refuse(.invalid, "the excerpt contains no events") }
            let present = state.jobs[excerpt.job]
            let stored = present?.sequence ?? 0
            guard first.event.sequence <= stored + 1 else {
                throw refuse(.conflict, "the ledger ends at event \(stored), before the excerpt begins")
            }
            if let same = excerpt.events.last(where: { $0.event.sequence <= stored }),
                present?.event(same.event.sequence)?.hash != same.hash
            {
                throw refuse(.conflict, "event \(same.event.sequence) has another hash in this ledger")
            }
            let new = excerpt.events.filter { $0.event.sequence > stored }
            if new.contains(where: { $0.event.recordedAt.microseconds > now.microseconds + Self.aheadMax }) {
                throw refuse(.invalid, "an event was recorded in the future")
            }
            var job: InMemoryJob
            if let present { job = present } else { job = try Self.newJob(excerpt, first.event, refuse) }
            var verifier = job.verifier(
                after: present.map(\.head), anchor: excerpt.head, createdAt: first.event.recordedAt)
            for one in new {
                guard verifier.check(one.event, hash: one.hash), one.event.sequence <= excerpt.head.sequence else {
                    throw refuse(.invalid, verifier.foundFault?.detail ?? "the events go beyond the stated end")
                }
                job.append(one.event)
            }
            if present == nil, let key = job.description.key, state.keys[key] != nil {
                throw refuse(.conflict, "another job in this ledger has the same key")
            }
            state.add(job)
            return (ImportResult(job: job.id, appended: new.count, position: job.head), [job.id])
        }
    }

    /// Creates the job of an excerpt that begins with the first event.
    private static func newJob(
        _ excerpt: LedgerExcerpt, _ first: Event, _ refuse: (StoreError.Code, String) -> StoreError
    ) throws(StoreError) -> InMemoryJob {
        guard case .jobCreated(let description) = first.body else {
            throw refuse(.invalid, "the first event does not create the job")
        }
        guard first.at == nil else { throw refuse(.invalid, "the first event has a time of the caller") }
        return InMemoryJob(excerpt.job, description)
    }

    // MARK: Replays

    public func beginReplay(_ request: Replay.Request) throws(StoreError) -> Replay {
        if let job = request.job, self.job(job) == nil {
            throw StoreError(.unknownJob, "there is no job \(job)", jobs: [job])
        }
        throw StoreError(.conflict, "a ledger in memory has no stored projection to compare a replay with")
    }

    public func replay(_ id: JobID) -> Replay? { nil }

    public func replays(limit: Int) -> [Replay] { [] }

    public func revertReplay(_ id: JobID) -> Replay? { nil }

    public func dropReplay(_ id: JobID) -> Replay? { nil }

    // MARK: Operations

    public func readiness() -> Readiness {
        let lag = status().lag
        return Readiness(checks: [
            Readiness.Check(name: "projection", isPassed: lag.seconds <= 30, detail: "\(lag.jobs) jobs are behind")
        ])
    }

    public func status() -> LedgerStatus {
        let now = Self.now
        let behind = jobs.filter { $0.fold.progress.sequence < $0.sequence }.map { job in
            let folded = job.fold.progress.sequence
            let waitingSince = job.events[folded - .start].event.recordedAt
            return LedgerStatus.BehindJob(
                job: job.id, events: Int64(job.sequence - folded),
                seconds: Double(now.microseconds - waitingSince.microseconds) / 1e6)
        }.sorted { $0.seconds > $1.seconds }
        let lag = LedgerStatus.Lag(
            jobs: Int64(behind.count), events: behind.reduce(0) { $0 + $1.events }, seconds: behind.first?.seconds ?? 0,
            mostBehind: Array(behind.prefix(LedgerStatus.listMax)))
        return LedgerStatus(lag: lag, workers: [], stuckJobs: [], stuckJobCount: 0, blocked: [], replay: nil)
    }

    public func statistics() -> [Statistic] { [] }
}

extension InMemoryJob {
    /// Creates a verifier of the chain that begins after this event.
    ///
    /// It already contains a fault if the event there is another one.
    fileprivate func verifier(
        after start: ChainPosition?, anchor: ChainPosition?, createdAt: Timestamp? = nil
    ) -> ChainVerifier {
        guard let start, start.sequence > 0 else {
            return ChainVerifier(
                job: id, description: description, createdAt: createdAt ?? self.createdAt, anchor: anchor)
        }
        let stored = event(start.sequence)
        var verifier = ChainVerifier(after: start, recordedAt: stored?.event.recordedAt ?? .earliest, anchor: anchor)
        if stored?.hash != start.hash { verifier.recordChangedStart() }
        return verifier
    }
}
