import Ledger
import LedgerTestSupport
import PQ
import Testing

@testable import LedgerStore

/// A ledger that is divided among several databases behaves as one.
@Suite("A divided ledger", .timeLimit(.minutes(10)))
struct ShardedLedgerTests {
    private static let silent = TestCluster.logger

    private static func progress(_ report: Int64) -> EventDraft {
        EventDraft(
            .progress(ProgressReport(reference: ExecutionReference(task: "t", execution: "e"), report: report, done: 1))
        )
    }

    /// A key in a slot that the first map gives to another shard than the second one.
    private static func movingKey(_ first: [Int], _ second: [Int], from old: Int, to new: Int) throws -> Name {
        try #require(
            (0..<100_000).lazy.map { Name("moving \($0)") }.first {
                let slot = ShardMap.slot(of: $0)
                return first[slot] == old && second[slot] == new
            })
    }

    @Test("new jobs are spread over the shards, and each is found by its id, in lists and by its key")
    func spreads() async throws {
        try await withShardedLedger(3) { ledger, shards in
            var jobs: [JobID] = []
            for number in 0..<30 {
                let key: Name? = number.isMultiple(of: 2) ? Name("key \(number)") : nil
                let (view, isNew) = try await ledger.createJob(JobDescription(name: Name("n\(number)"), key: key))
                #expect(isNew)
                jobs.append(view.id)
                let last = try await ledger.append([Self.progress(1)], to: view.id).upperBound
                #expect(last == 2)
                if let key {
                    let again = try await ledger.createJob(JobDescription(name: Name("n\(number)"), key: key))
                    #expect(again.view.id == view.id && !again.created)
                    #expect(try await ledger.jobs(JobFilter(key: key), limit: 5, after: nil).map(\.id) == [view.id])
                }
            }
            for (number, shard) in shards {
                let own = try await shard.jobs(JobFilter(), limit: 100, after: nil).map(\.id)
                #expect(own.count > 1, "shard \(number)")
                for job in own { #expect(ledger.map.owner(of: ShardMap.slot(of: job)) == number) }
            }
            var listed: [JobID] = []
            var cursor: JobID?
            repeat {
                let page = try await ledger.jobList(JobFilter(), in: .newest, limit: 7, after: cursor)
                #expect(page.missingShards.isEmpty && page.jobs.count <= 7)
                listed += page.jobs.map(\.id)
                cursor = page.jobs.count == 7 ? page.jobs.last?.id : nil
            } while cursor != nil
            #expect(listed == jobs.sorted(by: >))
            let heads = try await ledger.heads(after: nil, limit: 1_000)
            #expect(heads.map(\.job) == jobs.sorted())
            #expect(try await ledger.tags(of: jobs).count == 30)
            #expect(try await Set(ledger.jobs(jobs).map(\.id)) == Set(jobs))
        }
    }

    @Test("a request about one job takes as many round trips in a shard as with one database")
    func roundTrips() async throws {
        try await withShardedLedger(3, projection: nil) { ledger, shards in
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            let shard = try #require(shards[ledger.location(of: job)])
            func trips(_ pool: Pool, _ body: () async throws -> Void) async throws -> UInt64 {
                let before = await pool.statistics.roundTrips
                try await body()
                return await pool.statistics.roundTrips - before
            }
            // The ledger reads other things meanwhile, but not each time.
            func fewest(_ pool: Pool, _ body: () async throws -> Void) async throws -> UInt64 {
                var fewest = UInt64.max
                for _ in 1...5 { fewest = min(fewest, try await trips(pool, body)) }
                return fewest
            }
            func tripsElsewhere() async -> [UInt64] {
                var trips: [UInt64] = []
                for other in shards.values where other !== shard {
                    trips.append(await other.appendPool.statistics.roundTrips)
                }
                return trips
            }
            let before = await tripsElsewhere()
            // A group may come late, which costs two more; not each time.
            var appends: Set<UInt64> = []
            for report in Int64(1)...5 {
                appends.insert(
                    try await trips(shard.appendPool) { _ = try await ledger.append([Self.progress(report)], to: job) })
            }
            #expect(appends.contains(1))
            let direct = try await fewest(shard.pool) { _ = try await shard.job(job) }
            let routed = try await fewest(shard.pool) { _ = try await ledger.job(job) }
            #expect(routed == direct)
            let direct2 = try await fewest(shard.pool) { _ = try await shard.stamp(of: job) }
            let routed2 = try await fewest(shard.pool) { _ = try await ledger.stamp(of: job) }
            #expect(routed2 == direct2)
            // Creating with a key takes the locks of the map in the same round trip.
            let key = try #require(
                (0..<10_000).lazy.map { Name("k\($0)") }.first {
                    ledger.map.owners(of: $0) == [ledger.location(of: job)]
                })
            let created = try await trips(shard.appendPool) {
                _ = try await ledger.createJob(JobDescription(name: "n", key: key))
            }
            #expect(created == 2)
            #expect(await tripsElsewhere() == before)
        }
    }

    @Test("a job that exists nowhere is unknown on every route")
    func unknownJobs() async throws {
        try await withShardedLedger(3, projection: nil) { ledger, _ async throws in
            let unknown = JobID(high: 0x0190_0000_0000_7000, low: 0x8000_0000_0000_0000)
            #expect(try await ledger.job(unknown) == nil)
            #expect(try await ledger.stamp(of: unknown) == nil)
            #expect(try await ledger.events(unknown, EventFilter(), after: nil, limit: 1) == nil)
            let error = await #expect(throws: StoreError.self) {
                try await ledger.append([Self.progress(1)], to: unknown)
            }
            #expect(error?.code == .unknownJob)
        }
    }

    @Test("after a shard was added, old jobs stay where they are and new ones reach it")
    func growing() async throws {
        try await withLedgerDatabases(3) { targets in
            let two = targets.filter { $0.key < 2 }
            try await addShards([0, 1], of: two)
            var old: [JobID] = []
            try await withRunningShards(two) { ledger, _ in
                for number in 0..<40 {
                    old.append(
                        try await ledger.createJob(JobDescription(name: "old", key: Name("old \(number)"))).view.id)
                }
            }
            try await withRunningShards(targets) { ledger, shards in
                // This server has the databases of all three, and the map of two.
                #expect(ledger.map.current.number == 1)
                try await addShards([2], of: targets)
                let moving = try Self.movingKey(
                    ShardMap.owners(adding: [0, 1], to: nil),
                    ShardMap.owners(adding: [2], to: ShardMap.owners(adding: [0, 1], to: nil)), from: 1, to: 2)
                let new = try await ledger.createJob(JobDescription(name: "new", key: moving)).view.id
                #expect(
                    ledger.map.current.number == 2, "the shard refuses the old map, so the server reads the new one")
                #expect(try await shards[2]?.job(new) != nil)
                for (number, job) in old.enumerated() {
                    #expect(try await ledger.job(job)?.id == job)
                    let again = try await ledger.createJob(JobDescription(name: "old", key: Name("old \(number)")))
                    #expect(again.view.id == job && !again.created, "a key of an earlier owner")
                    _ = try await ledger.append([Self.progress(1)], to: job)
                }
                #expect(try await ledger.jobs(JobFilter(), limit: 1_000, after: nil).count == 41)
            }
        }
    }

    @Test("a server with the old map finds jobs that another server has created with the new one")
    func staleServers() async throws {
        try await withLedgerDatabases(3) { targets in
            try await addShards([0, 1], of: targets.filter { $0.key < 2 })
            try await withRunningShards(targets, projection: nil) { stale, _ in
                try await addShards([2], of: targets)
                try await withRunningShards(targets, projection: nil) { fresh, _ in
                    for number in 0..<30 {
                        let job = try await fresh.createJob(JobDescription(name: Name("n\(number)"))).view.id
                        #expect(try await stale.job(job)?.id == job)
                        #expect(try await stale.append([Self.progress(1)], to: job).upperBound == 2)
                    }
                }
            }
        }
    }

    @Test("a drained shard keeps its jobs and gets no new ones")
    func draining() async throws {
        try await withLedgerDatabases(2) { targets in
            try await addShards([0, 1], of: targets)
            try await withRunningShards(targets) { ledger, shards in
                var jobs: [JobID] = []
                for _ in 0..<20 { jobs.append(try await ledger.createJob(JobDescription(name: "n")).view.id) }
                let administration = ShardAdministration(targets, logger: Self.silent)
                try await administration.drain(1)
                await administration.close()
                try await ledger.reloadMap()
                let before = try await shards[1]?.heads(after: nil, limit: 100).count
                for number in 0..<20 {
                    _ = try await ledger.createJob(JobDescription(name: "n", key: Name("k\(number)")))
                }
                #expect(try await shards[1]?.heads(after: nil, limit: 100).count == before)
                for job in jobs { #expect(try await ledger.append([Self.progress(1)], to: job).upperBound == 2) }
            }
        }
    }

    @Test("jobs from before the division stay in shard 0, and their keys stay theirs")
    func beforeTheDivision() async throws {
        try await withLedgerDatabases(3) { targets in
            var old: [JobID] = []
            try await withRunningLedger(on: try #require(targets[0]), projection: nil) { ledger in
                for number in 0..<20 {
                    old.append(
                        try await ledger.createJob(JobDescription(name: "old", key: Name("old \(number)"))).view.id)
                }
            }
            try await addShards([0, 1, 2], of: targets)
            try await withRunningShards(targets, projection: nil) { ledger, _ in
                for (number, job) in old.enumerated() {
                    #expect(try await ledger.job(job)?.id == job)
                    let again = try await ledger.createJob(JobDescription(name: "old", key: Name("old \(number)")))
                    #expect(again.view.id == job)
                    let taken = await #expect(throws: StoreError.self) {
                        try await ledger.createJob(JobDescription(name: "other", key: Name("old \(number)")))
                    }
                    #expect(taken?.code == .keyTaken && taken?.jobs == [job])
                }
            }
        }
    }

    @Test("a ledger is not divided while a server without its shards uses it")
    func refusesServedDatabase() async throws {
        try await withLedgerDatabases(2) { targets in
            try await withRunningLedger(on: try #require(targets[0]), projection: nil) { ledger in
                _ = try await ledger.createJob(JobDescription(name: "n"))
                let error = await #expect(throws: StoreError.self) { try await addShards([0, 1], of: targets) }
                #expect(error?.code == .conflict && error?.message.contains("still uses database 0") == true)
                #expect(try await ledger.shardNumber() == nil)
            }
            try await addShards([0, 1], of: targets)
        }
    }

    @Test("an Idempotency-Key returns the same job after its slot has got another shard")
    func idempotencyKeysAcrossMaps() async throws {
        try await withLedgerDatabases(3) { targets in
            try await addShards([0, 1], of: targets.filter { $0.key < 2 })
            try await withRunningShards(targets, projection: nil) { ledger, _ in
                let keys = (0..<20).map { Name("request \($0)") }
                func create(_ key: Name) async throws -> (view: JobView, created: Bool) {
                    try await ledger.createJob(JobDescription(name: "n"), by: "token:a", idempotencyKey: key)
                }
                var jobs: [JobID] = []
                for key in keys { jobs.append(try await create(key).view.id) }
                try await addShards([2], of: targets)
                try await ledger.reloadMap()
                for (key, job) in zip(keys, jobs) {
                    let again = try await create(key)
                    #expect(again.view.id == job && !again.created)
                }
                let moved = keys.filter { ledger.map.owners(of: Name("token:a \($0.text)")).count > 1 }
                #expect(!moved.isEmpty, "no slot has moved, so the test shows nothing")
            }
        }
    }

    @Test("several servers create jobs with the same keys while the map changes: each key has one job")
    func keysStayUnique() async throws {
        try await withLedgerDatabases(4) { targets in
            try await addShards([0], of: targets)
            let keys = (0..<40).map { Name("key \($0)") }
            try await withRunningShards(targets, projection: nil) { first, _ in
                try await withRunningShards(targets, projection: nil) { second, shards in
                    let created = try await withThrowingTaskGroup(of: [Name: JobID].self) { group in
                        for server in [first, second] {
                            for part in 0..<2 {
                                group.addTask {
                                    var jobs: [Name: JobID] = [:]
                                    for key in part == 0 ? keys : keys.reversed() {
                                        jobs[key] = try await eventually({ _ in true }, retriesErrors: true) {
                                            try await server.createJob(JobDescription(name: "n", key: key)).view.id
                                        }
                                    }
                                    return jobs
                                }
                            }
                        }
                        for number in 1...3 { try await addShards([number], of: targets) }
                        return try await group.reduce(into: [[Name: JobID]]()) { $0.append($1) }
                    }
                    for key in keys { #expect(Set(created.compactMap { $0[key] }).count == 1, "\(key)") }
                    var stored = 0
                    for shard in shards.values { stored += try await shard.heads(after: nil, limit: 1_000).count }
                    #expect(stored == keys.count)
                }
            }
        }
    }

    @Test("a change of the map interrupted at any step is completed; no key is taken twice")
    func interruptedChanges() async throws {
        // The steps are: begin in shards 0, 1, 2; finish in shards 0, 1, 2.
        for steps in 1...5 {
            try await withLedgerDatabases(3) { targets in
                try await addShards([0, 1], of: targets.filter { $0.key < 2 })
                try await withRunningShards(targets, projection: nil) { ledger, shards in
                    let first = ledger.map.current.owners
                    let second = ShardMap.owners(adding: [2], to: first)
                    let key = try Self.movingKey(first, second, from: 0, to: 2)
                    let stays = try #require(
                        (0..<10_000).lazy.map { Name("stays \($0)") }.first { name in
                            let slot = ShardMap.slot(of: name)
                            return first[slot] == 1 && second[slot] == 1
                        })
                    let present = try #require(try await shards[0]?.shardState())
                    let map = ShardMap(
                        versions: present.versions + [ShardMap.Version(number: 2, owners: second, since: .now)])
                    for step in 0..<steps {
                        let store = ShardStore(
                            pool: Pool(target: try #require(targets[step % 3]), logger: Self.silent))
                        if step < 3 {
                            try await store.begin(map, number: step % 3, of: present.ledger)
                        } else {
                            try await store.finish(2)
                        }
                        await store.pool.close()
                    }
                    // Jobs without a key are created as ever.
                    let job = try await ledger.createJob(JobDescription(name: "n")).view.id
                    _ = try await ledger.append([Self.progress(1)], to: job)
                    // The new owner of the slot creates only after all shards have the new map and it knows that.
                    await #expect(throws: StoreError.self) {
                        try await ledger.createJob(JobDescription(name: "n", key: key))
                    }
                    if steps < 2 { _ = try await ledger.createJob(JobDescription(name: "n", key: stays)) }
                    let administration = ShardAdministration(targets, logger: Self.silent)
                    try await administration.resume()
                    let listed = await administration.list()
                    await administration.close()
                    #expect(listed.allSatisfy { $0.version == 2 && !$0.isChanging && $0.slots > 0 })
                    let created = try await ledger.createJob(JobDescription(name: "n", key: key))
                    #expect(created.created)
                    #expect(try await shards[2]?.job(created.view.id) != nil)
                    #expect(try await ledger.createJob(JobDescription(name: "n", key: key)).view.id == created.view.id)
                }
            }
        }
    }
}
