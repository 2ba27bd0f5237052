import Ledger
import LedgerStore
import LedgerTestSupport
import Synchronization
import Testing

/// The contract of `LedgerService`: jobs, appends, waits and observers.
@Suite("Contract of a ledger: writing")
struct LedgerServiceContractTests {
    @Test("a job begins with its first event and is found by its id", arguments: LedgerImplementation.allCases)
    func createsJobs(_ implementation: LedgerImplementation) async throws {
        try await implementation.withLedger { ledger in
            let description = JobDescription(name: "caf\u{E9}", key: "k", tags: ["e\u{301}": "1", "\u{e9}": ""])
            let (view, created) = try await ledger.createJob(description)
            #expect(created && view.description == description && view.ledgerSequence == 1)
            #expect(view.snapshot.sequence == 1 && view.snapshot.state == .running)
            #expect(view.snapshot.createdAt == view.createdAt && view.snapshot.updatedAt == view.createdAt)
            #expect(view.snapshot.indicators.isEmpty && view.snapshot.tasks == TaskCounts())
            let events = try await ledger.allEvents(view.id)
            #expect(events.map(\.event.body) == [.jobCreated(description)])
            #expect(events.map(\.event.recordedAt) == [view.createdAt])
            #expect(try await ledger.job(view.id) == view)
            #expect(try await ledger.jobs([view.id, LedgerImplementation.unknownJob, view.id]) == [view])
            for policy in CountingPolicy.allCases {
                #expect(try await ledger.job(view.id, counting: policy) == view)
                #expect(
                    try await ledger.job(view.id, at: .sequence(EventSequence(Int64.max)), counting: policy) == view)
            }
            let stamped = try #require(try await ledger.stampedJob(view.id))
            #expect(stamped.view == view && stamped.stamp.history == view.version?.history)
            let shared = try await called { ledger.stampedJob(view.id, whenDone: $0) }
            #expect(shared?.view == view && shared?.stamp == stamped.stamp)
            #expect(try await called { ledger.stamp(of: view.id, whenDone: $0) } == stamped.stamp)
        }
    }

    private func called<R: Sendable>(
        _ body: (@escaping @Sendable (Result<R, StoreError>) -> Void) -> Void
    ) async throws -> R {
        try await withCheckedContinuation { continuation in body { continuation.resume(returning: $0) } }.get()
    }

    @Test("an unknown job has no views, pages or results", arguments: LedgerImplementation.allCases)
    func unknownJobs(_ implementation: LedgerImplementation) async throws {
        try await implementation.withLedger { ledger in
            let unknown = LedgerImplementation.unknownJob
            #expect(try await ledger.job(unknown) == nil)
            #expect(try await ledger.jobs([unknown]).isEmpty)
            for policy in CountingPolicy.allCases {
                #expect(try await ledger.job(unknown, counting: policy) == nil)
                #expect(try await ledger.job(unknown, at: .sequence(1), counting: policy) == nil)
                let difference = try await ledger.difference(
                    unknown, from: .sequence(0), to: nil, counting: policy, limit: 1)
                #expect(difference == nil)
                let explanation = try await ledger.explain(
                    unknown, nil, at: nil, counting: policy, limit: 1, after: nil)
                guard case .noSuchJob = explanation else { throw Unexpected() }
            }
            guard case .noSuchJob = try await ledger.history(unknown, nil, points: 2) else { throw Unexpected() }
            let stamped = try await called { ledger.stampedJob(unknown, whenDone: $0) }
            #expect(stamped == nil)
            #expect(try await called { ledger.stamp(of: unknown, whenDone: $0) } == nil)
            for after in [nil, 5] as [EventSequence?] {
                let events = try await ledger.events(unknown, EventFilter(), after: after, limit: 1)
                #expect(events == nil)
                let tasks = try await ledger.tasks(unknown, state: nil, limit: 1, after: after.map { TaskID($0) })
                #expect(tasks == nil)
            }
            let past = try await ledger.tasks(unknown, at: .sequence(1), state: nil, limit: 1, after: nil)
            #expect(past == nil)
            #expect(try await ledger.verdicts(unknown, 1...2).isEmpty)
            #expect(try await ledger.status(of: "e", task: "t", in: unknown, at: 1) == nil)
            #expect(try await ledger.verify(unknown, Verification.Range()) == nil)
            #expect(try await ledger.excerpt(unknown, after: 0, limit: 1) == nil)
        }
    }

    private struct Unexpected: Error {}

    @Test("a repeated key returns its job, or is refused with other content", arguments: LedgerImplementation.allCases)
    func keys(_ implementation: LedgerImplementation) async throws {
        try await implementation.withLedger { ledger in
            let description = JobDescription(name: "n", key: "k", tags: ["a": "1"])
            let first = try await ledger.createJob(description)
            try await ledger.report([.units("t", done: 1)], to: first.view.id)
            let second = try await ledger.createJob(description)
            #expect(first.created && !second.created && second.view.id == first.view.id)
            #expect(second.view.ledgerSequence == 2 && second.view.snapshot.sequence == 2)
            for other in [
                JobDescription(name: "other", key: "k", tags: ["a": "1"]), JobDescription(name: "n", key: "k"),
            ] {
                let error = await #expect(throws: StoreError.self) { try await ledger.createJob(other) }
                #expect(error?.code == .keyTaken && error?.jobs == [first.view.id])
            }
            let withoutKey = JobDescription(name: "n")
            let third = try await ledger.createJob(withoutKey)
            let fourth = try await ledger.createJob(withoutKey)
            #expect(third.created && fourth.created && third.view.id != fourth.view.id)
        }
    }

    @Test("an idempotency key returns its job to its reporter only", arguments: LedgerImplementation.allCases)
    func idempotencyKeys(_ implementation: LedgerImplementation) async throws {
        try await implementation.withLedger { ledger in
            @Sendable func create(
                _ name: Name, _ key: Name?, by reporter: Name? = nil, jobKey: Name? = nil
            ) async throws(StoreError) -> (id: JobID, created: Bool) {
                let description = JobDescription(name: name, key: jobKey, tags: ["a": "b"])
                let (view, created) = try await ledger.createJob(description, by: reporter, idempotencyKey: key)
                return (view.id, created)
            }
            let first = try await create("j", "k")
            let repeated = try await create("j", "k")
            #expect(first.created && !repeated.created && repeated.id == first.id)
            #expect(try await create("j", nil).id != first.id)
            #expect(try await create("j", "other").id != first.id)
            let reused = await #expect(throws: StoreError.self) { try await create("x", "k") }
            #expect(reused?.code == .idempotencyKeyReused)
            // The scope of a key is its reporter.
            let reported = try await create("x", "k", by: "token:a")
            #expect(reported.created && reported.id != first.id)
            #expect(try await create("x", "k", by: "token:a").id == reported.id)
            // A job's own key is enough.
            let keyed = try await create("j", "k", jobKey: "own")
            #expect(keyed.created && keyed.id != first.id)
            let concurrent = try await withThrowingTaskGroup(of: (id: JobID, created: Bool).self) { group in
                for _ in 0..<6 { group.addTask { try await create("c", "concurrent") } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(Set(concurrent.map(\.id)).count == 1 && concurrent.count { $0.created } == 1)
        }
    }

    @Test("jobs are listed newest first, in pages, by every filter", arguments: LedgerImplementation.allCases)
    func lists(_ implementation: LedgerImplementation) async throws {
        try await implementation.withLedger { ledger in
            func create(_ name: Name, key: Name? = nil, _ tags: [Name: Name] = [:]) async throws -> JobID {
                try await ledger.createJob(JobDescription(name: name, key: key, tags: tags)).view.id
            }
            let plain = try await create("plain")
            let keyed = try await create("\u{C9}TUDE", key: "k", ["a": "1"])
            let tagged = try await create("plain", ["a": "1", "b": "2"])
            let ended = try await create("100% a.b")
            try await ledger.report([.units("t", done: 1), .jobFinished(.failed)], to: ended)
            let all = [plain, keyed, tagged, ended].sorted(by: >)
            func found(_ filter: JobFilter) async throws -> [JobID] {
                try await ledger.jobs(filter, limit: 10, after: nil).map(\.id)
            }
            #expect(try await found(JobFilter()) == all)
            #expect(try await ledger.jobs(JobFilter(), limit: 3, after: nil).map(\.id) == Array(all.prefix(3)))
            #expect(try await ledger.jobs(JobFilter(), limit: 3, after: all[2]).map(\.id) == [all[3]])
            #expect(try await ledger.jobs(JobFilter(), limit: 3, after: all[3]).isEmpty)
            #expect(try await found(JobFilter(state: .failed)) == [ended])
            #expect(try await found(JobFilter(state: .running)) == all.filter { $0 != ended })
            #expect(try await found(JobFilter(state: .canceled)) == [])
            #expect(try await found(JobFilter(name: "plain")) == all.filter { [plain, tagged].contains($0) })
            #expect(try await found(JobFilter(name: "Plain")) == [])
            #expect(try await found(JobFilter(key: "k")) == [keyed])
            #expect(try await found(JobFilter(tags: ["a": "1"])) == all.filter { [keyed, tagged].contains($0) })
            #expect(try await found(JobFilter(tags: ["a": "1", "b": "2"])) == [tagged])
            #expect(try await found(JobFilter(tags: ["a": "2"])) == [])
            #expect(try await found(JobFilter(search: "\u{E9}tu")) == [keyed])
            #expect(try await found(JobFilter(search: "0% A.")) == [ended])
            #expect(try await found(JobFilter(search: "k")) == [keyed])
            #expect(try await found(JobFilter(name: "plain", tags: ["a": "1"], search: "LAI")) == [tagged])
        }
    }

    @Test(
        "jobs of several states and periods are listed in both orders, and counted",
        arguments: LedgerImplementation.allCases)
    func listsSelections(_ implementation: LedgerImplementation) async throws {
        try await implementation.withLedger { ledger in
            var all: [JobID] = []
            for outcome in [nil, .completed, .failed, nil, .canceled, .failed] as [JobOutcome?] {
                let job = try await ledger.createJob(JobDescription(name: "j", tags: ["team": "a"])).view.id
                if let outcome { try await ledger.report([.jobFinished(outcome)], to: job) }
                all.append(job)
            }
            let replay = try await ledger.createJob(JobDescription(of: Replay.Request())).view.id
            let similar = try await ledger.createJob(JobDescription(name: "replay", tags: ["job": "all"])).view.id
            all += [replay, similar]
            all.sort()
            let states: [JobID: JobState] = Dictionary(
                uniqueKeysWithValues: try await ledger.jobs(all).map { ($0.id, $0.snapshot.state) })
            for chosen in [[.running], [.running, .failed], [.completed, .failed, .canceled], Set(JobState.allCases)]
                as [Set<JobState>]
            {
                var filter = JobFilter()
                filter.states = chosen
                let expected = all.filter { chosen.contains(states[$0] ?? .running) }
                for (order, jobs) in [(.newest, expected.reversed()), (.oldest, expected)]
                    as [(JobFilter.Order, [JobID])]
                {
                    // Pages of two: no job is missing or repeated at their borders.
                    var found: [JobID] = []
                    while true {
                        let page = try await ledger.jobs(filter, in: order, limit: 2, after: found.last).map(\.id)
                        found += page
                        if page.count < 2 { break }
                    }
                    #expect(found == Array(jobs), "\(chosen) \(order)")
                }
                let counts = try await ledger.countJobs(filter)
                for state in JobState.allCases {
                    #expect(counts[state] == expected.count { states[$0] == state }, "\(chosen) \(state)")
                }
                #expect(counts.incomplete.isEmpty)
            }
            var filter = JobFilter()
            filter.includesReplays = false
            #expect(
                try await ledger.jobs(filter, limit: 10, after: nil).map(\.id) == all.filter { $0 != replay }.reversed()
            )
            #expect(try await ledger.countJobs(filter)[.running] == 3)
            filter.tags = ["team": "a"]
            filter.states = [.failed, .canceled]
            let counts = try await ledger.countJobs(filter)
            #expect(counts[.failed] == 2 && counts[.canceled] == 1 && counts[.running] == 0)
            // The times of creation are those of the ids, to the millisecond.
            var period = JobFilter()
            period.createdFrom = all[2].createdAt
            period.createdBefore = all[5].createdAt
            let within = all.filter { $0.createdAt >= all[2].createdAt && $0.createdAt < all[5].createdAt }
            #expect(try await ledger.jobs(period, in: .oldest, limit: 10, after: nil).map(\.id) == within)
            period.states = [.running, .failed]
            let counted = try await ledger.countJobs(period)
            #expect(
                counted[.running] + counted[.failed] == within.count { period.states.contains(states[$0] ?? .running) })
        }
    }

    @Test("events get contiguous sequences in the order of their drafts", arguments: LedgerImplementation.allCases)
    func appends(_ implementation: LedgerImplementation) async throws {
        try await implementation.withLedger { ledger in
            let job = try await ledger.job()
            let drafts = [
                EventDraft(.start("t", "e", attempt: 7), at: Timestamp(microseconds: -1)),
                EventDraft(.units("t", "e", report: 1, label: "\u{1F680}", total: 0, done: 3)), EventDraft(.units("u")),
                EventDraft(.finish("t", "e", .canceled)), EventDraft(.jobFinished(.canceled)),
            ]
            #expect(try await ledger.append(drafts, to: job) == 2...6)
            #expect(try await ledger.append([EventDraft(.units("t"))], to: job) == 7...7)
            let called = try await called { ledger.append([EventDraft(.units("t"))], to: job, whenDone: $0) }
            #expect(called == 8...8)
            let events = try await ledger.allEvents(job).map(\.event)
            #expect(events.map(\.sequence) == Array(1...8))
            #expect(events[1...5].map(\.body) == drafts.map(\.body))
            #expect(events[1...5].map(\.at) == drafts.map(\.at))
            #expect(Set(events[1...5].map(\.recordedAt)).count == 1)
            #expect(events.map(\.recordedAt) == events.map(\.recordedAt).sorted())
            #expect(try await ledger.job(job)?.ledgerSequence == 8)
        }
    }

    @Test("an append to several jobs is complete and in order", arguments: LedgerImplementation.allCases)
    func appendsToSeveral(_ implementation: LedgerImplementation) async throws {
        try await implementation.withLedger { ledger in
            let (first, second) = (try await ledger.job("first"), try await ledger.job("second"))
            let entries = [(second, "a"), (first, "b"), (second, "c")].map { job, task in
                (job: job, draft: EventDraft(.units(Name(task))))
            }
            let appended = try await ledger.append(entries)
            #expect(appended.map(\.job) == [second, first])
            #expect(appended.map(\.sequences) == [2...3, 2...2])
            let tasks = try await ledger.allEvents(second).compactMap { $0.event.body.reference?.task }
            #expect(tasks == ["a", "c"])
        }
    }

    @Test("an append with an unknown job is refused and records nothing", arguments: LedgerImplementation.allCases)
    func refusesUnknownJobs(_ implementation: LedgerImplementation) async throws {
        try await implementation.withLedger { ledger in
            let job = try await ledger.job()
            let unknown = LedgerImplementation.unknownJob
            let draft = EventDraft(.units("t"))
            var errors: [StoreError?] = []
            errors.append(
                await #expect(throws: StoreError.self) { try await ledger.append([draft, draft], to: unknown) })
            errors.append(
                await #expect(throws: StoreError.self) {
                    try await called { ledger.append([draft], to: unknown, whenDone: $0) }
                })
            errors.append(
                await #expect(throws: StoreError.self) {
                    try await ledger.append([(job, draft), (unknown, draft), (job, draft)])
                })
            #expect(errors.map { $0?.code } == [.unknownJob, .unknownJob, .unknownJob])
            #expect(errors.map { $0?.jobs } == [[unknown], [unknown], [unknown]])
            #expect(try await ledger.job(job)?.ledgerSequence == 1)
        }
    }

    @Test("concurrent appends to a job are each contiguous", arguments: LedgerImplementation.allCases)
    func concurrentAppends(_ implementation: LedgerImplementation) async throws {
        try await implementation.withLedger { ledger in
            let job = try await ledger.job()
            let ranges = try await withThrowingTaskGroup { group in
                for number in 0..<20 {
                    group.addTask {
                        let drafts = (0..<5).map { EventDraft(.units(Name("\(number)"), done: $0)) }
                        return (task: Name("\(number)"), sequences: try await ledger.append(drafts, to: job))
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(ranges.flatMap { Array($0.sequences) }.sorted() == Array(2...101))
            let bodies = try await ledger.allEvents(job).map(\.event.body)
            for (task, sequences) in ranges {
                let own = sequences.map { bodies[$0 - 1] }
                #expect(own == (0..<5).map { .units(task, done: $0) })
            }
        }
    }

    // MARK: Waits and observers

    @Test("a wait ends with the snapshot, at its deadline or when cancelled", arguments: LedgerImplementation.allCases)
    func waits(_ implementation: LedgerImplementation) async throws {
        try await implementation.withLedger { ledger in
            let job = try await ledger.job()
            func folded(_ sequence: EventSequence, _ deadline: Duration) async throws -> Bool {
                try await ledger.waitUntilFolded(job, sequence: sequence, deadline: deadline)
            }
            #expect(try await folded(1, .zero))
            #expect(try await !folded(2, .milliseconds(50)))
            #expect(try await ledger.waitForChange(job, after: 0, deadline: .zero))
            #expect(try await !ledger.waitForChange(job, after: 1, deadline: .milliseconds(50)))
            let unknown = LedgerImplementation.unknownJob
            #expect(try await !ledger.waitUntilFolded(unknown, sequence: 1, deadline: .milliseconds(50)))
            async let reached = ledger.waitUntilFolded(job, sequence: 3, deadline: .testTimeout)
            async let changed = ledger.waitForChange(job, after: 1, deadline: .testTimeout)
            for _ in 0..<2 { _ = try await ledger.append([EventDraft(.units("t"))], to: job) }
            #expect(try await reached)
            #expect(try await changed)
            #expect(try await ledger.job(job)?.snapshot.sequence == 3)
            let cancelled = Task { try await ledger.waitUntilFolded(job, sequence: 9, deadline: .seconds(600)) }
            cancelled.cancel()
            let result = await cancelled.result
            #expect((try? result.get()) != true)
        }
    }

    @Test(
        "observers learn of new jobs and folded events until they are released",
        arguments: LedgerImplementation.allCases)
    func observes(_ implementation: LedgerImplementation) async throws {
        try await implementation.withLedger { ledger in
            let latest = Mutex<[JobID: EventSequence]>([:])
            let other = Mutex(0)
            do {
                let released = ledger.observeSnapshots { _ in other.withLock { $0 += 1 } }
                withExtendedLifetime(released) {}
            }
            let subscription = ledger.observeSnapshots { hint in
                if case .folded(let job, let sequence) = hint { latest.withLock { $0[job] = sequence } }
            }
            let job = try await ledger.job()
            try await eventually { latest.withLock { $0[job] } == 1 }
            try await ledger.report([.units("t")], to: job)
            try await eventually { latest.withLock { $0[job] } == 2 }
            #expect(other.withLock { $0 } == 0)
            withExtendedLifetime(subscription) {}
        }
    }

    @Test("events that are not folded are in the ledger, without verdicts", arguments: LedgerImplementation.allCases)
    func behind(_ implementation: LedgerImplementation) async throws {
        try await implementation.withLedger(isFolding: false) { ledger in
            let job = try await ledger.job()
            _ = try await ledger.append(
                [EventDraft(.start("t", "e")), EventDraft(.units("t", "e", label: "l", done: 1))], to: job)
            #expect(try await !ledger.waitUntilFolded(job, sequence: 2, deadline: .milliseconds(50)))
            let stamped = try #require(try await ledger.stampedJob(job))
            #expect(stamped.view.ledgerSequence == 3 && stamped.view.snapshot.sequence == 1)
            #expect(stamped.stamp.ledgerSequence == 3 && stamped.stamp.sequence == 1)
            #expect(
                stamped.stamp.head != stamped.stamp.history && stamped.stamp.history == stamped.view.version?.history)
            #expect(try await ledger.allEvents(job).map(\.verdict) == [.counted, nil, nil])
            #expect(try await ledger.verdicts(job, 2...3) == [nil, nil])
            #expect(try await ledger.status(of: "e", task: "t", in: job, at: 3) == nil)
            #expect(try await ledger.allTasks(job).isEmpty)
            #expect(
                try await ledger.job(job, at: .sequence(EventSequence(Int64.max)), counting: .last)?.snapshot.sequence
                    == 3)
            let unfolded = try #require(try await ledger.wholeExplanation(job, "l"))
            #expect(unfolded.indicator.received == .zero && unfolded.entries.isEmpty)
            #expect(try await ledger.wholeExplanation(job, "other") == nil)
            let lag = try await ledger.status().lag
            #expect(lag.jobs == 1 && lag.events == 2 && lag.seconds >= 0 && lag.mostBehind.map(\.job) == [job])
        }
    }
}
