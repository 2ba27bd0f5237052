public import Ledger
internal import PQ

extension PostgresLedger {
    public func beginReplay(_ request: Replay.Request) async throws(StoreError) -> Replay {
        if let job = request.job {
            guard try await self.job(job) != nil else {
                throw StoreError(.unknownJob, "there is no job \(job)", jobs: [job])
            }
        }
        let description = JobDescription(
            name: "replay",
            tags: ["policy": Name(request.policy.rawValue), "job": Name(request.job?.description ?? "all")])
        let id = try await createJob(description).view.id
        let isBegun: Bool
        do throws(PQError) { isBegun = try await replays.begin(request, as: id) } catch {
            throw StoreError(error, while: "beginning a replay")
        }
        guard isBegun else {
            // The job that was to tell how far it is ends here.
            _ = try await append([EventDraft(.jobFinished(.canceled))], to: id)
            throw StoreError(.conflict, "another replay is under way: wait for it, or cancel it")
        }
        replayBell.ring()
        return try await known(id)
    }

    public func replay(_ id: JobID) async throws(StoreError) -> Replay? {
        do throws(PQError) { return try await replays.replay(id) } catch {
            throw StoreError(error, while: "reading a replay")
        }
    }

    public func replays(limit: Int) async throws(StoreError) -> [Replay] {
        do throws(PQError) { return try await replays.replays(limit: limit) } catch {
            throw StoreError(error, while: "listing replays")
        }
    }

    public func revertReplay(_ id: JobID) async throws(StoreError) -> Replay? {
        guard let replay = try await replay(id) else { return nil }
        guard replay.state == .applied, replay.keeps else {
            throw StoreError(.conflict, "only an applied replay that keeps what was before can be reverted")
        }
        guard try await move(id, from: [.applied], to: .reverting, keeping: true) else {
            throw StoreError(
                .conflict, "another replay is under way, or what was before is being cleared away: look at it again")
        }
        replayBell.ring()
        return try await known(id)
    }

    public func dropReplay(_ id: JobID) async throws(StoreError) -> Replay? {
        guard let replay = try await replay(id) else { return nil }
        switch replay.state {
        case .running:
            _ = try await move(id, from: [.running], to: .canceling)
            replayBell.ring()
        case .canceling: break
        case .reverting: throw StoreError(.conflict, "it is being reverted: wait for it")
        case .applied, .done, .reverted, .canceled, .failed:
            try await forget(id)
        }
        return try await known(id)
    }

    private func forget(_ id: JobID) async throws(StoreError) {
        let isDone: Bool
        do {
            isDone = try await replays.forget(id)
        } catch let error as PQError {
            throw StoreError(error, while: "clearing away what a replay keeps")
        } catch {
            throw StoreError(.corrupt, "clearing away what a replay keeps: \(error)", cause: error)
        }
        guard isDone else { throw StoreError(.conflict, "it is being reverted: wait for it") }
    }

    private func move(
        _ id: JobID, from states: [Replay.State], to state: Replay.State, keeping: Bool = false
    ) async throws(StoreError) -> Bool {
        do throws(PQError) {
            return try await replays.move(id, from: states, to: state, keeping: keeping)
        } catch {
            throw StoreError(error, while: "changing a replay")
        }
    }

    private func known(_ id: JobID) async throws(StoreError) -> Replay {
        guard let replay = try await replay(id) else {
            throw StoreError(.corrupt, "replay \(id) was there and is not any more", jobs: [id])
        }
        return replay
    }
}
