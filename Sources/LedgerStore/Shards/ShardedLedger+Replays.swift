public import Ledger
internal import Logging

/// Replays: each shard replays its own jobs, under one id.
extension ShardedLedger {
    public func beginReplay(_ request: Replay.Request) async throws(StoreError) -> Replay {
        var parts: [Int]
        if let job = request.job {
            guard try await stamp(of: job) != nil else {
                throw StoreError(.unknownJob, "there is no job \(job)", jobs: [job])
            }
            parts = [location(of: job)]
        } else {
            parts = shards.keys.sorted()
        }
        for part in parts {
            try await on(part) { (ledger) throws(StoreError) in try await ledger.checkReplay(request) }
        }
        let id = try await createJob(JobDescription(of: request)).view.id
        // The shard of this job begins the parts that are missing, if this server dies.
        let home = location(of: id)
        parts.sort { ($0 == home ? 0 : 1, $0) < ($1 == home ? 0 : 1, $1) }
        var started: [Int] = []
        do throws(StoreError) {
            for part in parts {
                guard
                    try await on(part, { (ledger) throws(StoreError) in try await ledger.startReplay(request, as: id) })
                else {
                    throw StoreError(.conflict, "another replay is in progress: wait for it, or cancel it")
                }
                started.append(part)
            }
        } catch {
            // The parts in progress are canceled. The last one ends the job that shows the progress.
            var isInProgress = false
            for part in started {
                let dropped = try await on(part) { (ledger) throws(StoreError) in try await ledger.dropReplay(id) }
                isInProgress = isInProgress || dropped?.state.isInProgress ?? false
            }
            if !isInProgress { _ = try await append([EventDraft(.jobFinished(.canceled))], to: id) }
            throw error
        }
        guard let replay = try await replay(id) else {
            throw StoreError(.corrupt, "replay \(id) no longer exists", jobs: [id])
        }
        return replay
    }

    public func replay(_ id: JobID) async throws(StoreError) -> Replay? {
        Replay.merged(
            try await onAll { (ledger) throws(StoreError) in try await ledger.replay(id) }.compactMap(\.value))
    }

    public func replays(limit: Int) async throws(StoreError) -> [Replay] {
        let found = try await onPresent { (ledger) throws(StoreError) in try await ledger.replays(limit: limit) }
        return Dictionary(grouping: found.values.joined(), by: \.id).values
            .compactMap { Replay.merged($0) }.sorted { $0.id > $1.id }.prefix(limit).map { $0 }
    }

    public func revertReplay(_ id: JobID) async throws(StoreError) -> Replay? {
        guard let replay = try await replay(id) else { return nil }
        guard replay.state == .applied, replay.keeps else {
            throw StoreError(.conflict, "only an applied replay that keeps the previous projection can be reverted")
        }
        _ = try await onAll { (ledger) throws(StoreError) in try await ledger.revertReplay(id) }
        return try await self.replay(id)
    }

    public func dropReplay(_ id: JobID) async throws(StoreError) -> Replay? {
        guard try await replay(id) != nil else { return nil }
        _ = try await onAll { (ledger) throws(StoreError) in try await ledger.dropReplay(id) }
        return try await replay(id)
    }

    /// Through this a shard reports the progress of its part.
    func replayParent(of shard: Int) -> ReplayParent {
        ReplayParent(number: shard) { [weak self] (drafts, job) async throws(StoreError) in
            guard let self else { throw StoreError(.closed, "the ledger is closed") }
            _ = try await self.append(drafts, to: job)
        } outcome: { [weak self] (job) async throws(StoreError) in
            guard let self else { throw StoreError(.closed, "the ledger is closed") }
            return try await self.outcome(ofReplay: job)
        }
    }

    /// The age of a replay from which missing parts are begun by any server.
    ///
    /// Until then, the server that received the request begins them.
    private static let partsMissingMax: Duration = .seconds(10)

    /// The outcome of a replay; nil if not all parts have ended.
    ///
    /// It is asked for when a part has ended. It begins the parts that are missing after ``partsMissingMax``.
    private func outcome(ofReplay id: JobID) async throws(StoreError) -> JobOutcome? {
        let found = try await onAll { (ledger) throws(StoreError) in try await ledger.replay(id) }
        guard let replay = Replay.merged(found.compactMap(\.value)), !replay.state.isInProgress else { return nil }
        if replay.state == .canceled { return .canceled }
        let missing = replay.request.job == nil ? found.filter { $0.value == nil }.map(\.shard) : []
        guard missing.isEmpty else {
            let age = Timestamp.now.microseconds - replay.createdAt.microseconds
            guard .microseconds(age) >= Self.partsMissingMax else { return nil }
            for part in missing {
                let isBegun = try await on(part) { (ledger) throws(StoreError) in
                    try await ledger.startReplay(replay.request, as: id)
                }
                if isBegun { logger.notice("began a missing part of a replay", metadata: ["shard": "\(part)"]) }
            }
            return nil
        }
        return replay.state == .failed ? .failed : .completed
    }
}

extension Replay {
    /// The sum of the parts of a replay; nil without parts.
    static func merged(_ parts: [Replay]) -> Replay? {
        guard var sum = parts.first else { return nil }
        for part in parts.dropFirst() {
            sum.jobs.total += part.jobs.total
            sum.jobs.done += part.jobs.done
            sum.events.total += part.events.total
            sum.events.done += part.events.done
            sum.retiredJobs += part.retiredJobs
            sum.skippedJobs += part.skippedJobs
            sum.differenceCount += part.differenceCount
            sum.differences = Array((sum.differences + part.differences).prefix(differencesMax))
            sum.skips = Array((sum.skips + part.skips).prefix(skipsMax))
            sum.keeps = sum.keeps || part.keeps
            sum.error = sum.error ?? part.error
            sum.createdAt = min(sum.createdAt, part.createdAt)
            sum.finishedAt = sum.finishedAt.flatMap { finished in part.finishedAt.map { max(finished, $0) } }
        }
        // The first of these states that a part has is that of the whole.
        let order: [State] = [.reverting, .canceling, .running, .failed, .canceled, .applied, .reverted, .done]
        let states = Set(parts.map(\.state))
        if let state = order.first(where: states.contains) { sum.state = state }
        return sum
    }
}
