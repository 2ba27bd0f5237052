import Ledger
import LedgerProjection
import LedgerTestSupport
import PQ
import Testing

@testable import LedgerStore

@Suite("Appends unless the job is canceled")
struct UnlessCanceledTests {
    private static func start(_ task: Name = "t") -> [EventDraft] {
        [EventDraft(.start(task, Name("e \(UInt64.random(in: 0 ... .max))")))]
    }

    private static let cancel = EventDraft(.jobFinished(.canceled))

    private func expectCanceled(
        _ ledger: any LedgerService, _ job: JobID, within deadline: Duration = .testTimeout
    ) async throws {
        let before = try #require(try await ledger.job(job)).ledgerSequence
        let error = await #expect(throws: StoreError.self) {
            try await ledger.append(Self.start(), to: job, unlessCanceledWithin: deadline)
        }
        #expect(error?.code == .jobCanceled, "\(String(describing: error))")
        #expect(try await ledger.job(job)?.ledgerSequence == before, "something was recorded")
    }

    @Test("a canceled job refuses them, other jobs do not", arguments: LedgerImplementation.allCases)
    func refuses(_ implementation: LedgerImplementation) async throws {
        try await implementation.withLedger { ledger in
            let job = try await ledger.job(with: [.start("t", "e")])
            #expect(try await ledger.append(Self.start(), to: job, unlessCanceledWithin: .testTimeout) == 3...3)
            try await ledger.report([.jobFinished(.completed)], to: job)
            // A completed job is reopened.
            #expect(try await ledger.append(Self.start(), to: job, unlessCanceledWithin: .testTimeout) == 5...5)
            _ = try await ledger.append([Self.cancel], to: job)
            try await expectCanceled(ledger, job)
            // A start without the condition reopens the job, and the next one with it is recorded.
            _ = try await ledger.append(Self.start(), to: job)
            #expect(try await ledger.append(Self.start(), to: job, unlessCanceledWithin: .testTimeout) == 8...8)
            let error = await #expect(throws: StoreError.self) {
                try await ledger.append(
                    Self.start(), to: LedgerImplementation.unknownJob, unlessCanceledWithin: .testTimeout)
            }
            #expect(error?.code == .unknownJob)
        }
    }

    @Test("a late start does not reopen a canceled job, so the job still refuses")
    func lateStart() async throws {
        try await withLedger { ledger in
            let job = try await ledger.job(with: [.start("t", "new", attempt: 2), .jobFinished(.canceled)])
            _ = try await ledger.append([EventDraft(.start("t", "old", attempt: 1))], to: job)
            try await expectCanceled(ledger, job)
        }
    }

    @Test("of a cancellation and starts at the same time, no start is recorded after the cancellation")
    func race() async throws {
        try await withLedger { ledger in
            for _ in 0..<20 {
                let job = try await ledger.job(with: [.start("t", "e")])
                let (canceledAt, started) = try await withThrowingTaskGroup(
                    of: (isCancel: Bool, sequence: EventSequence?).self
                ) { group in
                    for number in 0..<20 {
                        group.addTask {
                            guard number != 10 else {
                                return (true, try await ledger.append([Self.cancel], to: job).lowerBound)
                            }
                            do throws(StoreError) {
                                return (
                                    false,
                                    try await ledger.append(Self.start(), to: job, unlessCanceledWithin: .testTimeout)
                                        .lowerBound
                                )
                            } catch {
                                guard error.code == .jobCanceled else { throw error }
                                return (false, nil)
                            }
                        }
                    }
                    let all = try await group.reduce(into: []) { $0.append($1) }
                    return (
                        try #require(all.first { $0.isCancel }?.sequence),
                        all.filter { !$0.isCancel }.compactMap(\.sequence)
                    )
                }
                #expect(started.allSatisfy { $0 < canceledAt }, "\(started) after \(canceledAt)")
            }
        }
    }

    @Test("a cancellation by another server just before is noticed, whatever this one has cached")
    func otherServer() async throws {
        try await withLedgerDatabase { target in
            // Without a worker the snapshot does not show the cancellation: the head decides.
            try await withRunningLedger(on: target, projection: nil) { ledger in
                try await withRunningLedger(on: target, projection: nil) { other in
                    let job = try await ledger.createJob(JobDescription(name: "n")).view.id
                    #expect(try await ledger.append(Self.start(), to: job, unlessCanceledWithin: .seconds(1)) == 2...2)
                    // A server without the job's head in its cache reads the events after the snapshot.
                    #expect(try await other.append(Self.start(), to: job, unlessCanceledWithin: .seconds(1)) == 3...3)
                    _ = try await other.append([Self.cancel], to: job)
                    for server in [ledger, other] {
                        let error = await #expect(throws: StoreError.self) {
                            try await server.append(Self.start(), to: job, unlessCanceledWithin: .milliseconds(200))
                        }
                        // Nothing folds the cancellation, which a later event may have undone.
                        #expect(error?.code == .behind)
                    }
                    #expect(try await ledger.job(job)?.ledgerSequence == 4)
                }
            }
        }
    }

    @Test("a snapshot that lags does not delay them, as long as nothing cancels the job")
    func lag() async throws {
        try await withLedger(projection: nil) { ledger in
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            _ = try await ledger.append((0..<500).map { _ in Self.start()[0] }, to: job)
            #expect(try await ledger.append(Self.start(), to: job, unlessCanceledWithin: .zero) == 502...502)
        }
    }

    @Test("with the heads cached they take one round trip, and one read of the state")
    func roundTrips() async throws {
        try await withLedger(projection: nil) { ledger in
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            func trips() async throws -> [Double] {
                let all = await ledger.statistics()
                return try ["append_round_trips_total", "append_late_total"].map { name in
                    Double(try #require(all.first { $0.name == "progress_ledger_\(name)" }).value)
                }
            }
            let before = try await trips()
            for _ in 0..<5 { _ = try await ledger.append(Self.start(), to: job, unlessCanceledWithin: .zero) }
            let after = try await trips()
            // A late group takes two more.
            #expect(after[0] - before[0] == 5 + 2 * (after[1] - before[1]))
        }
    }

    // MARK: The known state

    @Test("the state of a job is known after it was folded here", arguments: LedgerImplementation.allCases)
    func knownState(_ implementation: LedgerImplementation) async throws {
        try await implementation.withLedger { ledger in
            let job = try await ledger.job(with: [.start("t", "e")])
            #expect(ledger.knownState(of: job) == .running)
            try await ledger.report([.jobFinished(.failed)], to: job)
            #expect(ledger.knownState(of: job) == .failed)
            try await ledger.report([.start("t", "f")], to: job)
            #expect(ledger.knownState(of: job) == .running)
        }
    }

    @Test("a server that folds nothing learns the states of jobs by hints and by reading them")
    func knownStateElsewhere() async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target) { folding in
                try await withRunningLedger(on: target, projection: nil) { ledger in
                    let job = try await folding.job(with: [.start("t", "e")])
                    #expect(ledger.knownState(of: job) == nil)
                    try await eventually(equals: JobState.running) { ledger.knownState(of: job) }
                    try await folding.report([.jobFinished(.canceled)], to: job)
                    try await eventually(equals: JobState.canceled) { ledger.knownState(of: job) }
                    try await folding.report([.start("t", "f")], to: job)
                    try await eventually(equals: JobState.running) { ledger.knownState(of: job) }
                }
            }
        }
    }

    @Test("a hint names the state of an ended job, and one without a state is that of a running job")
    func hints() throws {
        let job = LedgerImplementation.unknownJob
        typealias Hint = HintPublisher.FoldedHint
        for state in JobState.allCases {
            let text = Hint(job, 7, state).text
            let read = try #require(Hint(Substring(text)))
            #expect(read.job == job && read.sequence == 7 && read.endState == (state == .running ? nil : state))
        }
        #expect(Hint(job, 7, .running).text == "\(job)=7")
        for text in ["", "*", "\(job)", "\(job)=x", "\(job)=1=other", "\(job)=1=failed=2"] {
            #expect(Hint(Substring(text)) == nil, "\(text)")
        }
    }
}
