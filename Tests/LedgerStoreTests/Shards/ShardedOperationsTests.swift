import Ledger
import LedgerProjection
import LedgerTestSupport
import PQ
import Synchronization
import Testing

@testable import LedgerStore

@Suite("Operations on a divided ledger", .timeLimit(.minutes(10)))
struct ShardedOperationsTests {
    private static func progress(_ report: Int64) -> EventDraft {
        EventDraft(
            .progress(ProgressReport(reference: ExecutionReference(task: "t", execution: "e"), report: report, done: 1))
        )
    }

    @Test("a replay has a part in each shard, and its job ends when the last part has ended")
    func replays() async throws {
        try await withShardedLedger(3, replays: ReplaySettings()) { ledger, shards in
            var jobs: [JobID] = []
            for _ in 0..<12 {
                let job = try await ledger.createJob(JobDescription(name: "n")).view.id
                let last = try await ledger.append([Self.progress(1), Self.progress(2)], to: job).upperBound
                #expect(try await ledger.waitUntilFolded(job, sequence: last, deadline: .testTimeout))
                jobs.append(job)
            }
            let replay = try await ledger.beginReplay(Replay.Request())
            let ended = try await eventually({ $0?.state == .done }) { try await ledger.replay(replay.id) }
            #expect(ended?.jobs.total == 12 && ended?.jobs.done == 12 && ended?.differenceCount == 0)
            #expect(ended?.events.total == 36)
            try await eventually(equals: .completed) { try await ledger.job(replay.id)?.snapshot.state }
            let progress = try await ledger.job(replay.id)?.snapshot.indicators.first { $0.label == "jobs" }
            #expect(progress?.counted.done == 12)
            #expect(try await ledger.replays(limit: 10).map(\.id) == [replay.id])
            // A replay of one job runs in the shard of that job.
            let single = try await ledger.beginReplay(Replay.Request(job: jobs[0]))
            let done = try await eventually({ $0?.state == .done }) { try await ledger.replay(single.id) }
            #expect(done?.jobs.total == 1)
            var parts = 0
            for shard in shards.values { if try await shard.replay(single.id) != nil { parts += 1 } }
            #expect(parts == 1)
            try await eventually(equals: .completed) { try await ledger.job(single.id)?.snapshot.state }
        }
    }

    @Test("an imported job keeps its key in another slot, and no other job gets the key")
    func imports() async throws {
        try await withLedger(projection: nil) { source in
            try await withShardedLedger(3, projection: nil) { ledger, _ in
                for number in 0..<10 {
                    let key = Name("imported \(number)")
                    let job = try await source.createJob(JobDescription(name: "n", key: key)).view.id
                    let excerpt = try #require(try await source.excerpt(job, after: 0, limit: 10))
                    #expect(try await ledger.importExcerpt(excerpt).appended == 1)
                    #expect(try await ledger.importExcerpt(excerpt).appended == 0)
                    #expect(try await ledger.job(job)?.description.key == key)
                    let again = try await ledger.createJob(JobDescription(name: "n", key: key))
                    #expect(again.view.id == job && !again.created)
                    #expect(try await ledger.jobs(JobFilter(key: key), limit: 5, after: nil).map(\.id) == [job])
                    let taken = await #expect(throws: StoreError.self) {
                        try await ledger.createJob(JobDescription(name: "other", key: key))
                    }
                    #expect(taken?.code == .keyTaken)
                }
                // A key that is taken here is refused.
                _ = try await ledger.createJob(JobDescription(name: "n", key: "taken"))
                let job = try await source.createJob(JobDescription(name: "n", key: "taken")).view.id
                let excerpt = try #require(try await source.excerpt(job, after: 0, limit: 10))
                let error = await #expect(throws: StoreError.self) { try await ledger.importExcerpt(excerpt) }
                #expect(error?.code == .conflict)
                #expect(try await ledger.job(job) == nil)
            }
        }
    }

    @Test("the import of a job begins in one shard only, whatever map a server has")
    func importsAcrossMaps() async throws {
        try await withLedger(projection: nil) { source in
            try await withLedgerDatabases(3) { targets in
                try await addShards([0, 1], of: targets.filter { $0.key < 2 })
                try await withRunningShards(targets, projection: nil) { stale, shards in
                    let map = stale.map
                    try await addShards([2], of: targets)
                    // The ids are of a time at which the new map holds already, and the server has the old one.
                    var jobs: [JobID] = []
                    for _ in 0..<10 { jobs.append(try await source.createJob(JobDescription(name: "n")).view.id) }
                    for job in jobs {
                        let excerpt = try #require(try await source.excerpt(job, after: 0, limit: 10))
                        let shard = try #require(shards[map.owners(of: job)[0]])
                        let early = try await shard.importExcerpt(excerpt, mapVersion: map.current.number)
                        #expect(early == nil, "a shard with a newer map refuses")
                        #expect(try await stale.importExcerpt(excerpt).appended == 1)
                        #expect(try await stale.importExcerpt(excerpt).appended == 0)
                    }
                    var stored = 0
                    for shard in shards.values { stored += try await shard.heads(after: nil, limit: 100).count }
                    #expect(stored == jobs.count)
                    #expect(try await shards[2]?.heads(after: nil, limit: 100).isEmpty == false)
                }
            }
        }
    }

    @Test("tokens are shared, and a subscription is in every shard")
    func sharedRecords() async throws {
        try await withShardedLedger(2, projection: nil) { ledger, shards in
            let request = AccessTokenRequest(name: "t", scopes: [.read])
            _ = try await ledger.createToken(request, by: nil)
            #expect(ledger.tokens.isRequired)
            for shard in shards.values { #expect(shard.tokens === ledger.tokens) }
            #expect(try await ledger.listTokens(within: .unconfined).map(\.name) == ["t"])
            let receiver = SubscriptionRequest(name: "s", url: "https://example.com/hook", kinds: [.finished])
            let created = try await ledger.createSubscription(receiver, by: nil)
            for shard in shards.values {
                let own = try await shard.subscriptions(within: .unconfined)
                #expect(own.map(\.id) == [created.subscription.id])
            }
            #expect(try await ledger.subscriptions(within: .unconfined).count == 1)
            // A shard without it, like a new one, gets a copy with the same secret.
            _ = try await shards[1]?.removeSubscription(created.subscription.id, within: .unconfined)
            await ledger.copySubscriptions()
            let records = try await shards[0]?.withSubscriptionRecords { $0 }
            #expect(try await shards[1]?.withSubscriptionRecords { $0 } == records)
            let removed = try await ledger.removeSubscription(created.subscription.id, within: .unconfined)
            #expect(removed?.id == created.subscription.id)
            for shard in shards.values { #expect(try await shard.subscriptions(within: .unconfined).isEmpty) }
        }
    }

    @Test("a subscription that is removed while it is copied to another shard stays in none")
    func removalDuringCopy() async throws {
        try await withLedgerDatabases(2) { targets in
            try await addShards([0, 1], of: targets)
            let target = try #require(targets[0])
            try await withRunningShards(targets, projection: nil) { ledger, shards in
                let receiver = SubscriptionRequest(name: "s", url: "https://example.com/hook", kinds: [.finished])
                let id = try await ledger.createSubscription(receiver, by: nil).subscription.id
                let first = try #require(shards[0])
                _ = try await shards[1]?.removeSubscription(id, within: .unconfined)
                let removal = Mutex<Task<Subscription?, any Error>?>(nil)
                await ledger.copySubscriptions {
                    let task = Task { try await ledger.removeSubscription(id, within: .unconfined) }
                    removal.withLock { $0 = task }
                    do {
                        try await BlockedStatement.wait(for: "delete from ledger.subscription", in: target) {
                            try await first.subscriptions(within: .unconfined).isEmpty
                        }
                    } catch { Issue.record(error) }
                }
                #expect(try await removal.withLock { $0 }?.value?.id == id)
                for shard in shards.values { #expect(try await shard.subscriptions(within: .unconfined).isEmpty) }
            }
        }
    }

    @Test("a replay does not end before it has begun in all shards")
    func lateParts() async throws {
        try await withShardedLedger(2, replays: ReplaySettings()) { ledger, shards in
            let request = Replay.Request()
            let id = try await ledger.createJob(JobDescription(of: request)).view.id
            let home = ledger.location(of: id)
            _ = try await shards[home]?.startReplay(request, as: id)
            try await eventually(equals: .done) { try await shards[home]?.replay(id)?.state }
            // The runner of that shard asks at each interval whether the whole replay has ended.
            let parent = ledger.replayParent(of: home)
            #expect(try await parent.outcome(id) == nil)
            #expect(try await ledger.job(id)?.snapshot.state == .running)
            _ = try await shards[1 - home]?.startReplay(request, as: id)
            try await eventually(equals: .completed) { try await ledger.job(id)?.snapshot.state }
            #expect(try await shards[1 - home]?.startReplay(request, as: id) == true, "it is begun once")
        }
    }

    @Test("a replay whose server dies while it begins in the shards is completed by the others")
    func missingParts() async throws {
        try await withLedgerDatabases(2) { targets in
            try await addShards([0, 1], of: targets)
            try await withRunningShards(targets, replays: ReplaySettings()) { ledger, shards in
                let request = Replay.Request()
                let id = try await ledger.createJob(JobDescription(of: request)).view.id
                let home = ledger.location(of: id)
                let shard = try #require(shards[home])
                _ = try await shard.startReplay(request, as: id)
                let target = try #require(targets[home])
                try await TestCluster.run(
                    ["update ledger.replay set created_at = created_at - interval '1 minute'"], on: target)
                try await eventually(equals: .done) { try await shards[1 - home]?.replay(id)?.state }
                try await eventually(equals: .completed) { try await ledger.job(id)?.snapshot.state }
            }
        }
    }

    @Test("an import that is refused leaves its key to other jobs")
    func refusedImports() async throws {
        try await withShardedLedger(2, projection: nil) { ledger, _ in
            let key: Name = "k"
            // The second event is an hour in the future.
            let excerpt = PastJob.excerpt(createdAt: .now, every: 3_600, key: key, PastJob.finished)
            let error = await #expect(throws: StoreError.self) { try await ledger.importExcerpt(excerpt) }
            #expect(error?.code == .invalid && error?.message.contains("in the future") == true)
            let job = try await ledger.createJob(JobDescription(name: "n", key: key))
            #expect(job.created)
        }
    }
}
