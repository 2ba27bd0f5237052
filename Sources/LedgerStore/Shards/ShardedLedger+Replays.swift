public import Ledger

/// Replays: each shard replays its own jobs, under one id.
extension ShardedLedger {
    public func beginReplay(_ request: Replay.Request) async throws(StoreError) -> Replay {
        let parts: [Int]
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
            // The parts that have begun are canceled. The last one ends the job that shows the progress.
            for part in started {
                _ = try await on(part) { (ledger) throws(StoreError) in try await ledger.dropReplay(id) }
            }
            if started.isEmpty { _ = try await append([EventDraft(.jobFinished(.canceled))], to: id) }
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
            guard let replay = try await self.replay(job), !replay.state.isInProgress else { return nil }
            switch replay.state {
            case .canceled, .canceling: return .canceled
            case .failed: return .failed
            case .running, .applied, .reverting, .done, .reverted: return .completed
            }
        }
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
