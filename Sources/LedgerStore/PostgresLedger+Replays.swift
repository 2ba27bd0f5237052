internal import AsyncPrimitives
public import Ledger
internal import PQ

extension PostgresLedger {
    /// Checks that this build may replay.
    func checkReplay(_ request: Replay.Request) async throws(StoreError) {
        try await refuseNewerSchema()
        let hasNewer = try await attempting("starting a replay") { () throws(PQError) in
            try await replays.hasNewerProjections()
        }
        guard !hasNewer else {
            throw StoreError(
                .schema, "a newer version of this program has written projections, which this one must not replace")
        }
    }

    /// Starts a replay under an id, unless another one is in progress.
    ///
    /// - Returns: Whether it was started.
    func startReplay(_ request: Replay.Request, as id: JobID) async throws(StoreError) -> Bool {
        let isStarted = try await attempting("starting a replay") { () throws(PQError) in
            try await replays.start(request, as: id)
        }
        if isStarted { replaySignal.signal() }
        return isStarted
    }

    public func beginReplay(_ request: Replay.Request) async throws(StoreError) -> Replay {
        try await checkReplay(request)
        if let job = request.job {
            guard try await stamp(of: job) != nil else {
                throw StoreError(.unknownJob, "there is no job \(job)", jobs: [job])
            }
        }
        let id = try await createJob(JobDescription(of: request)).view.id
        guard try await startReplay(request, as: id) else {
            // The job that was created to show the replay's progress ends here.
            _ = try await append([EventDraft(.jobFinished(.canceled))], to: id)
            throw StoreError(.conflict, "another replay is in progress: wait for it, or cancel it")
        }
        return try await existingReplay(id)
    }

    public func replay(_ id: JobID) async throws(StoreError) -> Replay? {
        try await attempting("reading a replay") { () throws(PQError) in try await replays.replay(id) }
    }

    public func replays(limit: Int) async throws(StoreError) -> [Replay] {
        try await attempting("listing replays") { () throws(PQError) in try await replays.replays(limit: limit) }
    }

    public func revertReplay(_ id: JobID) async throws(StoreError) -> Replay? {
        guard let replay = try await replay(id) else { return nil }
        guard replay.state == .applied, replay.keeps else {
            throw StoreError(.conflict, "only an applied replay that keeps the previous projection can be reverted")
        }
        guard try await changeState(id, from: [.applied], to: .reverting, keeping: true) else {
            throw StoreError(
                .conflict,
                "another replay is in progress, or the previous projection is being deleted: read the replay again")
        }
        replaySignal.signal()
        return try await existingReplay(id)
    }

    public func dropReplay(_ id: JobID) async throws(StoreError) -> Replay? {
        guard let replay = try await replay(id) else { return nil }
        switch replay.state {
        case .running:
            _ = try await changeState(id, from: [.running], to: .canceling)
            replaySignal.signal()
        case .canceling: break
        case .reverting: throw StoreError(.conflict, "the replay is being reverted: wait until it has ended")
        case .applied, .done, .reverted, .canceled, .failed:
            try await deleteData(id)
        }
        return try await existingReplay(id)
    }

    private func deleteData(_ id: JobID) async throws(StoreError) {
        let isDone = try await attempting("deleting the data of a replay") { () throws(PQError) in
            try await replays.deleteData(id)
        }
        guard isDone else { throw StoreError(.conflict, "the replay is being reverted: wait until it has ended") }
    }

    private func changeState(
        _ id: JobID, from states: [Replay.State], to state: Replay.State, keeping: Bool = false
    ) async throws(StoreError) -> Bool {
        try await attempting("changing a replay") { () throws(PQError) in
            try await replays.changeState(id, from: states, to: state, keeping: keeping)
        }
    }

    private func existingReplay(_ id: JobID) async throws(StoreError) -> Replay {
        guard let replay = try await replay(id) else {
            throw StoreError(.corrupt, "replay \(id) no longer exists", jobs: [id])
        }
        return replay
    }
}
