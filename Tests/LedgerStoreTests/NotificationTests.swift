import Ledger
import LedgerProjection
import LedgerTestSupport
import PQ
import Testing

@testable import LedgerStore

@Suite("Notifications in the database", .timeLimit(.minutes(5)))
struct NotificationTests {
    private static let reference = ExecutionReference(task: "t", attempt: 1)
    private static let start = EventDraft(.executionStarted(reference))
    private static let completed = EventDraft(.jobFinished(.completed))

    private static func progress(done: Int64, total: Int64 = 0, attempt: Int32 = 1) -> EventDraft {
        EventDraft(
            .progress(
                ProgressReport(
                    reference: ExecutionReference(task: "t", attempt: attempt), total: total, done: done)))
    }

    private static func request(
        _ kinds: [NotificationKind] = [.started, .finished], job: Name? = nil, tags: [Name: Name] = [:]
    ) -> SubscriptionRequest {
        SubscriptionRequest(
            name: "s", url: "https://example.com/hook", kinds: kinds, jobName: job, tags: tags)
    }

    private static func append(_ drafts: [EventDraft], to job: JobID, _ ledger: PostgresLedger) async throws {
        let last = try await ledger.append(drafts, to: job).upperBound
        let isFolded = try await ledger.waitUntilFolded(job, sequence: last, deadline: .testTimeout)
        #expect(isFolded)
    }

    /// The deliveries, as `kind@sequence`, oldest first.
    private static func deliveries(
        _ ledger: PostgresLedger, of subscription: Subscription.ID? = nil
    ) async throws -> [String] {
        try await ledger.deliveries(of: subscription, within: .unconfined, limit: 1_000, before: nil).map { delivery in
            guard case .event(let sequence) = delivery.cause.origin else { return delivery.cause.kind.text }
            return "\(delivery.cause.kind.text)@\(sequence)"
        }.sorted()
    }

    @Test("events are enqueued with their fold, once, for the jobs of the filter")
    func enqueues() async throws {
        try await withLedger { ledger in
            let all = try await ledger.createSubscription(Self.request(), by: "token:admin").subscription
            let named = try await ledger.createSubscription(Self.request(job: "n", tags: ["e\u{301}": "1"]), by: nil)
                .subscription
            let job = try await ledger.createJob(JobDescription(name: "n", tags: ["e\u{301}": "1"])).view.id
            let other = try await ledger.createJob(JobDescription(name: "n", tags: ["\u{e9}": "1"])).view.id
            try await Self.append([Self.start, Self.progress(done: 1)], to: job, ledger)
            try await Self.append([Self.start], to: other, ledger)
            try await Self.append([Self.completed], to: job, ledger)
            #expect(try await Self.deliveries(ledger, of: all.id) == ["finished@4", "started@2", "started@2"])
            #expect(try await Self.deliveries(ledger, of: named.id) == ["finished@4", "started@2"])
            let delivery = try #require(
                try await ledger.deliveries(of: named.id, within: .unconfined, limit: 1, before: nil).first)
            #expect(delivery.cause.job == job && delivery.state == .pending && delivery.attempts == 0)
            #expect(all.createdBy == "token:admin" && named.createdBy == nil)
        }
    }

    @Test("every event after the acknowledgement is noticed by all workers, and no earlier one")
    func noticed() async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target) { first in
                try await withRunningLedger(on: target) { second in
                    let jobs = try await (0..<4).asyncMap { _ in
                        try await first.createJob(JobDescription(name: "n")).view.id
                    }
                    for job in jobs { try await Self.append([Self.start], to: job, first) }
                    // Both workers know that there is no subscription.
                    _ = try await first.createSubscription(Self.request(), by: nil)
                    for job in jobs { try await Self.append([Self.completed], to: job, second) }
                    #expect(try await Self.deliveries(first) == [String](repeating: "finished@3", count: 4))
                }
            }
        }
    }

    @Test("events that are older than the subscription are not notified when they are folded later")
    func older() async throws {
        try await withLedgerDatabase { target in
            let job = try await withRunningLedger(on: target, projection: nil) { ledger in
                let job = try await ledger.createJob(JobDescription(name: "n")).view.id
                _ = try await ledger.append([Self.start], to: job)
                _ = try await ledger.createSubscription(Self.request(), by: nil)
                _ = try await ledger.append([Self.completed], to: job)
                return job
            }
            try await withRunningLedger(on: target) { ledger in
                let isFolded = try await ledger.waitUntilFolded(job, sequence: 3, deadline: .testTimeout)
                #expect(isFolded)
                #expect(try await Self.deliveries(ledger) == ["finished@3"])
            }
        }
    }

    @Test("a rebuilt projection and a replay send no notification again; later events do")
    func rebuilt() async throws {
        try await withLedgerDatabase { target in
            let (job, other) = try await withRunningLedger(on: target) { ledger in
                _ = try await ledger.createSubscription(Self.request([.started, .finished, .percent(50)]), by: nil)
                let job = try await ledger.createJob(JobDescription(name: "n")).view.id
                let other = try await ledger.createJob(JobDescription(name: "o")).view.id
                for job in [job, other] {
                    try await Self.append([Self.start, Self.progress(done: 5, total: 10)], to: job, ledger)
                    try await Self.append([Self.progress(done: 5)], to: job, ledger)
                }
                #expect(try await Self.deliveries(ledger).count == 4)
                return (job, other)
            }
            // As if they had been deleted long after they were sent.
            _ = try await tamper(target, "delete from ledger.delivery where job_id = $1", [job])
            _ = try await tamper(target, "delete from ledger.snapshot where job_id = $1", [job])
            try await withRunningLedger(on: target, replays: ReplaySettings()) { ledger in
                try await eventually(equals: 4) { try await ledger.job(job)?.snapshot.sequence }
                #expect(try await Self.deliveries(ledger).count == 2)
                let replay = try await ledger.beginReplay(Replay.Request(job: other, policy: .last, applies: true))
                try await eventually { try await ledger.replay(replay.id)?.state == .applied }
                #expect(try await Self.deliveries(ledger).count == 2)
                for job in [job, other] { try await Self.append([Self.completed], to: job, ledger) }
                #expect(try await Self.deliveries(ledger).count { $0 == "finished@5" } == 2)
            }
        }
    }

    @Test("an import sends no notification; events appended afterwards do")
    func imported() async throws {
        try await withLedger { ledger in
            _ = try await ledger.createSubscription(Self.request([.started, .finished, .reopened]), by: nil)
            // Recorded after the subscription was created, by the clock of another ledger.
            let soon = Timestamp(microseconds: Timestamp.now.microseconds + 60_000_000)
            let excerpt = PastJob.excerpt(createdAt: soon, PastJob.finished)
            _ = try await ledger.importExcerpt(excerpt)
            let isFolded = try await ledger.waitUntilFolded(
                excerpt.job, sequence: excerpt.head.sequence, deadline: .testTimeout)
            #expect(isFolded)
            #expect(try await Self.deliveries(ledger).isEmpty)
            try await Self.append(
                [EventDraft(.executionStarted(ExecutionReference(task: "new", attempt: 1)))], to: excerpt.job, ledger)
            #expect(try await Self.deliveries(ledger) == ["reopened@5"])
        }
    }

    @Test("a percentage is that of all indicators, across steps and portions", arguments: [1_000, 1])
    func percentages(executionsPerPortion: Int) async throws {
        var settings = ProjectionSettings()
        settings.executionsPerPortionMax = executionsPerPortion
        try await withLedger(projection: settings) { ledger in
            _ = try await ledger.createSubscription(
                Self.request([.percent(25), .percent(50), .percent(100), .decreased]), by: nil)
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            func report(_ label: Name, _ task: Name, total: Int64 = 0, done: Int64) -> EventDraft {
                EventDraft(
                    .progress(
                        ProgressReport(
                            reference: ExecutionReference(task: task, attempt: 1), label: label, total: total,
                            done: done)))
            }
            try await Self.append(
                [report("a", "t", total: 10, done: 2), report("b", "u", total: 10, done: 0)], to: job, ledger)
            #expect(try await Self.deliveries(ledger).isEmpty, "10 %")
            try await Self.append([report("a", "t", done: 4), report("a", "v", done: 1)], to: job, ledger)
            #expect(
                try await Self.deliveries(ledger)
                    == ["percent:25@5"].map { executionsPerPortion == 1 ? "percent:25@4" : $0 })
            // Back to 10 %, and on again: the threshold is passed once more.
            try await Self.append(
                [EventDraft(.executionStarted(ExecutionReference(task: "t", attempt: 2)))], to: job, ledger)
            #expect(try await Self.deliveries(ledger).contains("decreased@6"))
            try await Self.append([report("b", "u", done: 10)], to: job, ledger)
            try await Self.append([report("a", "v", done: 9), Self.completed], to: job, ledger)
            let kinds = try await Self.deliveries(ledger).map { $0.split(separator: "@")[0] }
            #expect(kinds == ["decreased", "percent:100", "percent:25", "percent:25", "percent:50"])
        }
    }

    @Test("a page of deliveries has only those of subscriptions within the caller's confinement")
    func confinedDeliveries() async throws {
        try await withLedger { ledger in
            let tags: [[Name: Name]] = [["team": "a"], ["team": "a", "size": "big"], ["team": "b"], [:]]
            let ids = try await tags.asyncMap { tags in
                try await ledger.createSubscription(Self.request(tags: tags), by: nil).subscription.id
            }
            for tags in tags {
                let job = try await ledger.createJob(JobDescription(name: "n", tags: tags)).view.id
                try await Self.append([Self.start], to: job, ledger)
            }
            func seen(_ confinement: Confinement, of id: Subscription.ID? = nil) async throws -> [Int] {
                try await ledger.deliveries(of: id, within: confinement, limit: 99, before: nil)
                    .compactMap { ids.firstIndex(of: $0.subscription) }.sorted()
            }
            // The job with two tags is one of team a, and everybody's job is one of the subscription without a filter.
            #expect(try await seen(.unconfined) == [0, 0, 1, 2, 3, 3, 3, 3])
            #expect(try await seen(Confinement(tags: ["team": "a"])) == [0, 0, 1])
            #expect(try await seen(Confinement(tags: ["team": "b"])) == [2])
            #expect(try await seen(Confinement(tags: ["team": "a", "size": "big"])) == [1])
            #expect(try await seen(Confinement(tags: ["team": "a"]), of: ids[2]).isEmpty)
            #expect(try await seen(Confinement(tags: ["team": "c"])).isEmpty)
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            #expect(try await seen(Confinement(tags: [:], job: job)).isEmpty)
        }
    }

    @Test("two senders never claim the same delivery, and an ended lease keeps the id")
    func leases() async throws {
        try await withLedger { ledger in
            let id = try await ledger.createSubscription(Self.request(), by: nil).subscription.id
            for _ in 0..<5 {
                let job = try await ledger.createJob(JobDescription(name: "n")).view.id
                try await Self.append([Self.start], to: job, ledger)
            }
            let store = ledger.deliveryStore
            let claims = try await withThrowingTaskGroup(of: [DeliveryStore.Claimed].self) { group in
                for _ in 0..<6 {
                    group.addTask {
                        try await store.claim(limit: 2, perSubscription: 10, inProgress: [:], lease: .seconds(600))
                    }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            // Some may be skipped while another sender holds them.
            #expect(Set(claims.map(\.delivery.id)).count == claims.count)
            let rest = try await store.claim(limit: 10, perSubscription: 10, inProgress: [:], lease: .seconds(600))
            #expect(claims.count + rest.count == 5)
            #expect(try await store.claim(limit: 10, perSubscription: 10, inProgress: [:], lease: .zero).isEmpty)

            // The sender of one of them dies, and its lease ends.
            let lost = try #require((claims + rest).first)
            _ = try await ledger.pool.query(
                Query("update ledger.delivery set next_at = now() where delivery_id = $1", [.text(lost.delivery.id)]))
            #expect(
                try await store.claim(limit: 9, perSubscription: 9, inProgress: [id: 9], lease: .seconds(600)).isEmpty)
            let again = try await store.claim(limit: 9, perSubscription: 9, inProgress: [:], lease: .seconds(600))
            #expect(again.map(\.delivery.id) == [lost.delivery.id] && again.first?.delivery.attempts == 2)
            // The result of the first attempt arrives too late to count.
            try await store.record(DeliveryStore.Result(state: .failed, error: "late"), of: lost)
            var delivery = try await store.delivery(lost.delivery.id)
            #expect(delivery?.state == .pending && delivery?.error == nil)
            try await store.record(DeliveryStore.Result(state: .delivered, responseStatus: 204), of: again[0])
            delivery = try await store.delivery(lost.delivery.id)
            #expect(delivery?.state == .delivered && delivery?.responseStatus == 204 && delivery?.endedAt != nil)
        }
    }

    @Test("a subscription never has more deliveries in progress than the maximum")
    func perSubscription() async throws {
        try await withLedger { ledger in
            let id = try await ledger.createSubscription(Self.request([.failed]), by: nil).subscription.id
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            try await Self.append((0..<6).map { _ in EventDraft(.jobFinished(.failed)) }, to: job, ledger)
            for (started, room) in [(3, 1), (4, 0), (9, 0), (0, 4)] {
                let claimed = try await ledger.deliveryStore.claim(
                    limit: 16, perSubscription: 4, inProgress: [id: started], lease: .seconds(600))
                #expect(claimed.count == room, "\(started) in progress")
            }
        }
    }

    /// Waits until a step waits for the lock of a subscription.
    private static func waitUntilStepWaits(_ ledger: PostgresLedger) async throws {
        try await eventually {
            try await ledger.pool.query(
                Query(
                    """
                    select from pg_locks join pg_stat_activity using (pid)
                    where datname = current_database() and not granted
                    """)
            ).count > 0
        }
    }

    @Test("nothing waits for a disabled subscription, not even what a step enqueues meanwhile")
    func disabledMeanwhile() async throws {
        try await withLedger { ledger in
            let id = try await ledger.createSubscription(Self.request([.failed]), by: nil).subscription.id
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            try await Self.append([Self.start], to: job, ledger)
            let last = try await ledger.pool.withTransaction { transaction in
                for statement in SubscriptionStore.disabling(id, .gone) { _ = try await transaction.query(statement) }
                let last = try await ledger.append([EventDraft(.jobFinished(.failed))], to: job).upperBound
                try await Self.waitUntilStepWaits(ledger)
                _ = try await transaction.commit()
                return last
            }
            let isFolded = try await ledger.waitUntilFolded(job, sequence: last, deadline: .testTimeout)
            #expect(isFolded)
            #expect(try await Self.deliveries(ledger).isEmpty)

            // As if another version had left one.
            _ = try await ledger.pool.query(
                Query(
                    """
                    insert into ledger.delivery (delivery_id, subscription_id, kind, since, caused_at)
                    values ('x', '\(id)', 'test', now(), now())
                    """, prepare: false))
            _ = try await ledger.deliveryStore.clean()
            #expect(try await ledger.deliveryStore.delivery("x")?.state == .failed)
        }
    }

    @Test("a receiver that is gone disables its subscription, and ends its deliveries")
    func gone() async throws {
        try await withLedger { ledger in
            let id = try await ledger.createSubscription(Self.request(), by: nil).subscription.id
            let other = try await ledger.createSubscription(Self.request(), by: nil).subscription.id
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            try await Self.append([Self.start, Self.completed], to: job, ledger)
            let claimed = try await ledger.deliveryStore.claim(
                limit: 1, perSubscription: 1, inProgress: [other: 1], lease: .seconds(600))
            try await ledger.deliveryStore.record(
                DeliveryStore.Result(state: .failed, responseStatus: 410, isGone: true), of: try #require(claimed.first)
            )
            let subscription = try await ledger.subscriptions(within: .unconfined).first { $0.id == id }
            #expect(subscription?.disabled?.reason == .gone)
            let deliveries = try await ledger.deliveries(of: id, within: .unconfined, limit: 10, before: nil)
            #expect(deliveries.count == 2 && deliveries.allSatisfy { $0.state == .failed })
            try await Self.append(
                [EventDraft(.executionStarted(ExecutionReference(task: "t", attempt: 2)))], to: job, ledger)
            try await Self.append([Self.completed], to: job, ledger)
            #expect(try await Self.deliveries(ledger, of: id).count == 2)
            #expect(try await Self.deliveries(ledger, of: other).count == 3)
            await #expect(throws: StoreError.self) { try await ledger.testSubscription(id, within: .unconfined) }
        }
    }

    @Test("a subscription with too many waiting deliveries is disabled, and old ones are deleted")
    func bounds() async throws {
        try await withLedger { ledger in
            let id = try await ledger.createSubscription(Self.request(), by: nil).subscription.id
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            try await Self.append([Self.start], to: job, ledger)
            func insert(_ first: Int, _ last: Int, _ state: String, _ cause: String, ended: String) async throws {
                _ = try await ledger.pool.query(
                    Query(
                        """
                        insert into ledger.delivery (
                            delivery_id, subscription_id, job_id, kind, sequence, since, caused_at, state, ended_at
                        )
                        select 'x' || n, '\(id)', $1, 'late', \(cause), now(), '\(state)', \(ended)
                        from generate_series(\(first), \(last)) as n
                        """, [.uuid(job.uuid)], prepare: false))
            }
            try await insert(1, 1, "delivered", "1, null", ended: "now() - interval '8 days'")
            try await insert(2, 2, "delivered", "null, now()", ended: "now() - interval '8 days'")
            try await insert(3, 3, "delivered", "1, null", ended: "now() - interval '6 days'")
            _ = try await ledger.deliveryStore.clean()
            let kept = try await ledger.deliveries(of: id, within: .unconfined, limit: 10, before: nil).map(\.id)
            #expect(
                Set(kept).intersection(["x1", "x2", "x3"]) == ["x2", "x3"], "that of a moment of a running job stays")
            try await Self.append([Self.completed], to: job, ledger)
            _ = try await ledger.deliveryStore.clean()
            #expect(try await ledger.deliveryStore.delivery("x2") == nil)
            // More than one statement deletes.
            try await insert(100_000, 105_001, "delivered", "1, null", ended: "now() - interval '8 days'")
            _ = try await ledger.deliveryStore.clean()
            for id in ["x100000", "x105001"] { #expect(try await ledger.deliveryStore.delivery(id) == nil) }

            try await insert(10, 10 + Limits.pendingDeliveriesMax, "pending", "1, null", ended: "null")
            #expect(try await ledger.deliveryStore.clean() == [id])
            let status = try await ledger.status().notifications
            #expect(status.subscriptions == 1 && status.disabled == 1 && status.pending == 0)
        }
    }

    @Test("subscriptions and deliveries are seen and removed only within a confinement")
    func confined() async throws {
        try await withLedger { ledger in
            let own = try await ledger.createSubscription(Self.request(tags: ["team": "a", "x": "y"]), by: nil)
            let other = try await ledger.createSubscription(Self.request(tags: ["team": "b"]), by: nil)
            let job = try await ledger.createJob(JobDescription(name: "n", tags: ["team": "a", "x": "y"])).view.id
            try await Self.append([Self.start], to: job, ledger)
            let teams = ["a", "b"].map { Confinement(tags: ["team": Name($0)]) }
            #expect(try await ledger.subscriptions(within: teams[0]).map(\.id) == [own.subscription.id])
            #expect(try await ledger.deliveries(of: nil, within: teams[0], limit: 10, before: nil).count == 1)
            #expect(try await ledger.deliveries(of: nil, within: teams[1], limit: 10, before: nil).isEmpty)
            let one = Confinement(job: job)
            #expect(try await ledger.subscriptions(within: one).isEmpty)
            #expect(try await ledger.deliveries(of: nil, within: one, limit: 10, before: nil).isEmpty)
            #expect(try await ledger.removeSubscription(own.subscription.id, within: teams[1]) == nil)
            #expect(try await ledger.testSubscription(own.subscription.id, within: teams[1]) == nil)
            #expect(
                try await ledger.removeSubscription(own.subscription.id, within: teams[0])?.id == own.subscription.id)
            #expect(try await ledger.deliveries(of: nil, within: .unconfined, limit: 10, before: nil).isEmpty)
            #expect(try await ledger.subscriptions(within: .unconfined).map(\.id) == [other.subscription.id])
        }
    }

    @Test("pages of deliveries are complete, and a removal during a step harms nothing")
    func pages() async throws {
        try await withLedger { ledger in
            let request = Self.request([.failed], tags: ["team": "a"])
            let id = try await ledger.createSubscription(request, by: nil).subscription.id
            _ = try await ledger.createSubscription(request, by: nil)
            let job = try await ledger.createJob(JobDescription(name: "n", tags: ["team": "a"])).view.id
            try await Self.append((0..<7).map { _ in EventDraft(.jobFinished(.failed)) }, to: job, ledger)
            let team = Confinement(tags: ["team": "a"])
            for (subscription, confinement, count) in [
                (id, .unconfined, 7), (id, team, 7), (nil, .unconfined, 14), (nil, team, 14),
            ] as [(Subscription.ID?, Confinement, Int)] {
                var (found, cursor): ([String], Delivery.Cursor?) = ([], nil)
                repeat {
                    let page = try await ledger.deliveries(
                        of: subscription, within: confinement, limit: 3, before: cursor)
                    found += page.map(\.id)
                    cursor = page.count == 3 ? page.last?.cursor : nil
                } while cursor != nil
                #expect(found.count == count && Set(found).count == count)
            }

            // The subscription is locked for its removal while a step enqueues for it.
            try await ledger.pool.withTransaction { transaction in
                _ = try await transaction.query(Query("delete from ledger.subscription"))
                _ = try await ledger.append([EventDraft(.jobFinished(.failed))], to: job)
                try await Self.waitUntilStepWaits(ledger)
                _ = try await transaction.commit()
            }
            let isFolded = try await ledger.waitUntilFolded(job, sequence: 9, deadline: .testTimeout)
            #expect(isFolded)
            #expect(try await ledger.status().stuckJobCount == 0)
        }
    }
}

extension Sequence {
    fileprivate func asyncMap<Result>(_ transform: (Element) async throws -> Result) async rethrows -> [Result] {
        var results: [Result] = []
        for element in self { results.append(try await transform(element)) }
        return results
    }
}
