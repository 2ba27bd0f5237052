public import Ledger

/// Creating and importing jobs, with keys that are unique in all shards.
extension ShardedLedger {
    /// The maximum number of attempts while the map changes.
    private static let attemptsMax = 5

    public func createJob(
        _ description: JobDescription, by reporter: Name?, idempotencyKey: Name?
    ) async throws(StoreError) -> (view: JobView, created: Bool) {
        if let key = description.key {
            return try await createJob(description, of: key, by: reporter, idempotencyKey: nil)
        }
        if let idempotencyKey {
            let scope = Name("\(reporter?.text ?? "") \(idempotencyKey.text)")
            return try await createJob(description, of: scope, by: reporter, idempotencyKey: idempotencyKey)
        }
        // Any shard will do, so one that is away is replaced by another one.
        var tried: Set<Int> = []
        while true {
            let owners = map.current.owners
            let slots = owners.indices.filter { !tried.contains(owners[$0]) }
            guard let slot = slots.randomElement() else {
                throw StoreError(.unavailable, "no shard takes new jobs now", retryAfter: .seconds(1))
            }
            do throws(StoreError) {
                return try await createWithoutKey(description, in: slot, by: reporter)
            } catch {
                guard error.code == .unavailable, Set(owners).count > tried.count + 1 else { throw error }
                tried.insert(owners[slot])
            }
        }
    }

    private func createWithoutKey(
        _ description: JobDescription, in slot: Int, by reporter: Name?
    ) async throws(StoreError) -> (view: JobView, created: Bool) {
        let placement = JobCreator.Placement(slot: slot)
        let result = try await on(map.owner(of: slot)) { (ledger) throws(StoreError) in
            try await ledger.createJob(description, by: reporter, idempotencyKey: nil, at: placement)
        }
        guard case .done(let view, let isNew) = result else {
            throw StoreError(.corrupt, "a job without a key was not created")
        }
        return (view, isNew)
    }

    /// Creates the job of a unique name, or returns the existing one.
    ///
    /// A new job gets the slot of the name.
    ///
    /// The shards that owned the slot under earlier maps are asked first: since all shards have the present map, no job
    /// of this name can be created there any more. The shard itself refuses if the map has changed since.
    ///
    /// - Parameter name: The key of the job, or the idempotency key with its scope.
    private func createJob(
        _ description: JobDescription, of name: Name, by reporter: Name?, idempotencyKey: Name?
    ) async throws(StoreError) -> (view: JobView, created: Bool) {
        var placement = JobCreator.Placement(slot: ShardMap.slot(of: name), uniqueName: name)
        for _ in 0..<Self.attemptsMax {
            let map = map
            let owners = map.owners(of: name)
            for owner in owners.dropFirst() + owners.prefix(1) {
                placement.mapVersion = owner == owners[0] ? map.current.number : nil
                let place = placement
                let result = try await on(owner) { (ledger) throws(StoreError) in
                    try await ledger.createJob(description, by: reporter, idempotencyKey: idempotencyKey, at: place)
                }
                if let found = try await existing(result, description) { return found }
            }
            try await waitForMap(after: map)
        }
        throw Self.mapIsChanging
    }

    private static let mapIsChanging = StoreError(
        .unavailable, "the map of the shards is changing; nothing was recorded", retryAfter: .seconds(1))

    /// Reads a newer map, once all shards have it.
    private func waitForMap(after map: ShardMap) async throws(StoreError) {
        try await reloadMap()
        guard self.map.current.number == map.current.number else { return }
        // The change takes as long as its longest transaction.
        do { try await Task.sleep(for: .milliseconds(100)) } catch { throw Self.mapIsChanging }
    }

    /// The job of a result; nil if there is none.
    private func existing(
        _ result: PostgresLedger.CreationInShard, _ description: JobDescription
    ) async throws(StoreError) -> (view: JobView, created: Bool)? {
        switch result {
        case .done(let view, let isNew): return (view, isNew)
        case .otherMap, .notFound: return nil
        case .reserved(let id):
            guard let view = try await job(id) else {
                throw StoreError(.keyTaken, "job \(id), whose import has not begun yet, has this key", jobs: [id])
            }
            guard view.description.name == description.name, view.description.tags == description.tags else {
                throw StoreError(
                    .keyTaken, "job \(id) already has this key, with another name or other tags", jobs: [id])
            }
            return (view, false)
        }
    }

    // MARK: Imports

    public func importExcerpt(_ excerpt: LedgerExcerpt) async throws(StoreError) -> ImportResult {
        if let first = excerpt.events.first, case .jobCreated(let description) = first.event.body,
            let key = description.key
        {
            // A part that is refused must not reserve the key.
            try await PostgresLedger.verify(excerpt)
            try await homeOfImport(excerpt.job).ledger.checkImport(excerpt)
            try await reserve(key, for: excerpt.job)
        }
        for _ in 0..<Self.attemptsMax {
            let map = map
            let (ledger, isNew) = try await homeOfImport(excerpt.job)
            // Only servers with the same map may begin the import of a job, or two would begin it in different shards.
            if let result = try await ledger.importExcerpt(excerpt, mapVersion: isNew ? map.current.number : nil) {
                return result
            }
            try await waitForMap(after: map)
        }
        throw Self.mapIsChanging
    }

    /// The shard for an import, and whether no shard has the job yet.
    private func homeOfImport(_ job: JobID) async throws(StoreError) -> (ledger: PostgresLedger, isNew: Bool) {
        let first = location(of: job)
        if try await on(first, { (ledger) throws(StoreError) in try await ledger.contains(job) }) {
            return (try ledger(first), false)
        }
        if let other = try await find(job, besides: first) { return (try ledger(other), false) }
        return (try ledger(first), true)
    }

    /// Reserves the key of a job that is imported.
    ///
    /// No other job has it, now or later.
    private func reserve(_ key: Name, for job: JobID) async throws(StoreError) {
        for _ in 0..<Self.attemptsMax {
            let map = map
            let owners = map.owners(of: key)
            for earlier in owners.dropFirst() {
                let holder = try await on(earlier) { (ledger) throws(StoreError) in try await ledger.holder(of: key) }
                if let holder { return try Self.check(holder, is: job) }
            }
            let result = try await on(owners[0]) { (ledger) throws(StoreError) in
                try await ledger.reserve(key, for: job, version: map.current.number)
            }
            switch result {
            case .job(let holder): return try Self.check(holder, is: job)
            case .otherMap: try await waitForMap(after: map)
            }
        }
        throw Self.mapIsChanging
    }

    private static func check(_ holder: JobID, is job: JobID) throws(StoreError) {
        guard holder == job else {
            throw StoreError(.conflict, "another job in this ledger has the same key", jobs: [job])
        }
    }
}
