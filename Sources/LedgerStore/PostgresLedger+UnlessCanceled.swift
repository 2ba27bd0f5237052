public import Ledger

extension PostgresLedger {
    /// The lag up to which the events after a snapshot are searched.
    ///
    /// The search for a cancellation takes 3 ms at this lag, with the head locked. With a longer lag the append waits
    /// for the fold.
    private static let searchedEventsMax: Int = 10_000

    public func append(
        _ drafts: [EventDraft], to job: JobID, unlessCanceledWithin deadline: Duration
    ) async throws(StoreError) -> ClosedRange<EventSequence> {
        let end = ContinuousClock.now + deadline
        while true {
            guard let reading = try await jobStates.read(job) else { throw .unknown([job]) }
            guard !reading.isRetired else { throw .retired([job]) }
            if reading.state != .canceled {
                if reading.head - reading.sequence <= Self.searchedEventsMax,
                    let range = try await append(drafts, to: job, unlessCanceledAfter: reading.sequence)
                {
                    return range
                }
            } else if reading.sequence >= reading.head {
                throw .canceled(job)
            }
            // An event after the snapshot cancels the job or may reopen it. The fold decides.
            let rest = ContinuousClock.now.duration(to: end)
            guard rest > .zero, !Task.isCancelled,
                try await waitUntilFolded(job, sequence: reading.sequence + 1, deadline: rest)
            else {
                throw StoreError(
                    .behind,
                    "the projection did not reach the last event of job \(job) within \(deadline); nothing was recorded",
                    jobs: [job], retryAfter: .seconds(1))
            }
        }
    }

    /// Appends, or returns nil if an event after this sequence cancels the job.
    ///
    /// The appender decides by the head that it moves, so a cancellation that is committed just before is noticed.
    private func append(
        _ drafts: [EventDraft], to job: JobID, unlessCanceledAfter sequence: EventSequence
    ) async throws(StoreError) -> ClosedRange<EventSequence>? {
        var part = AppendRequest.Part(job: job, drafts: drafts)
        part.unlessCanceledAfter = sequence
        do throws(StoreError) {
            return try await appender.append(AppendRequest(parts: [part])).get().first?.sequences
        } catch {
            guard error.code == .jobCanceled else { throw error }
            return nil
        }
    }

    public func knownState(of job: JobID) -> JobState? { jobStates.known(job) }
}
