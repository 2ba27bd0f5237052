import Foundation
import Ledger
import LedgerStore
import LedgerTestSupport
import PQ
import Synchronization
import Testing

@testable import LedgerCommands

@Suite("Retiring months and jobs", .serialized, .timeLimit(.minutes(10)))
struct RetirerTests {
    private static let march = Month("2024-03")!

    /// A ledger with a folder for exports, and the owner's access.
    private struct Fixture {
        let target: ConnectionTarget
        let ledger: PostgresLedger
        let store: RetirementStore
        let folder: String

        func retirer(
            place: String? = nil, willStep: @escaping (MonthRetirement.Step) async throws -> Void = { _ in }
        ) throws -> Retirer {
            Retirer(store: store, folder: try RetirementFolder(path: folder, place: place), willStep: willStep)
        }

        var files: [String] { (try? FileManager.default.contentsOfDirectory(atPath: folder).sorted()) ?? [] }

        func run(_ statements: String...) async throws {
            try await TestCluster.run(statements, on: target)
        }

        /// The tables of a month, with the partitions of the event table marked.
        func tables() async throws -> [String] {
            let rows = try await ledger.pool.query(
                Query(
                    """
                    select relname || case when relispartition then ' attached' else '' end
                    from pg_class
                    where relnamespace = 'ledger'::regnamespace and relkind = 'r' and relname ~ '_2024_03$'
                    order by 1
                    """))
            return try rows.map { try $0.decode(0, as: String.self) }
        }
    }

    private static func withFixture(_ body: (Fixture) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "retire-\(UUID().uuidString)").path()
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        defer { TestFiles.remove(folder) }
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target) { ledger in
                let store = try await RetirementStore(target: target, logger: TestCluster.logger)
                let result: Result<Void, any Error>
                do {
                    try await body(Fixture(target: target, ledger: ledger, store: store, folder: folder))
                    result = .success(())
                } catch { result = .failure(error) }
                await store.close()
                try result.get()
            }
        }
    }

    private struct Crash: Error {}

    /// Checks that these jobs are retired, and that their exports are in the folder.
    private static func expectRetired(_ fixture: Fixture, _ jobs: [JobID]) async throws {
        let folder = try RetirementFolder(path: fixture.folder, place: nil)
        for job in jobs {
            let retirement = try #require(try await fixture.ledger.retirement(of: job))
            let path = try #require(try folder.find("progress-ledger-2024-03", retirement.export))
            #expect(path == retirement.export.place)
            var heads: [JobID: ChainPosition] = [:]
            _ = try ExportFile(path).check { job, verification in
                #expect(verification.isIntact)
                heads[job] = ChainPosition(sequence: verification.sequence, hash: verification.headHash)
            }
            #expect(heads[job] == retirement.position)
            let verification = try #require(try await fixture.ledger.verify(job, Verification.Range()))
            #expect(verification.isIntact && verification.retiredAt != nil)
            let error = await #expect(throws: StoreError.self) { _ = try await fixture.ledger.job(job) }
            #expect(error?.code == .retired)
        }
    }

    @Test("a retired month leaves an export, and a table until it is dropped")
    func month() async throws {
        try await Self.withFixture { fixture in
            let jobs = [
                try await PastJob.add(to: fixture.ledger), try await PastJob.add(number: 2, to: fixture.ledger),
            ]
            let april = Timestamp(microseconds: PastJob.march.microseconds + 31 * 86_400_000_000)
            let later = try await PastJob.add(number: 3, createdAt: april, to: fixture.ledger)
            var steps: [MonthRetirement.Step] = []
            let result = try await fixture.retirer { steps.append($0) }
                .retire(Self.march, drops: false, exportsOnly: false)
            #expect(result.jobs == 2 && result.files.map(\.heads.count) == [2])
            #expect(steps == [.export, .record, .detach, .setAside])
            try await Self.expectRetired(fixture, jobs)
            #expect(try await fixture.tables() == ["retired_2024_03"])
            #expect(fixture.files == ["progress-ledger-2024-03.ndjson"])
            #expect(try await fixture.ledger.job(later)?.snapshot.state == .completed)

            let again = try await fixture.retirer().retire(Self.march, drops: false, exportsOnly: false)
            #expect(again.jobs == 0 && again.files.isEmpty)
            _ = try await fixture.retirer().retire(Self.march, drops: true, exportsOnly: false)
            #expect(try await fixture.tables() == [])
            try await Self.expectRetired(fixture, jobs)
            #expect(try await Migrator(target: fixture.target, logger: TestCluster.logger).guaranteeFaults() == [])
        }
    }

    @Test("a retirement that is interrupted before any step is completed by the next one", arguments: 0..<5)
    func interrupted(_ stepsBefore: Int) async throws {
        try await Self.withFixture { fixture in
            let jobs = [
                try await PastJob.add(to: fixture.ledger), try await PastJob.add(number: 2, to: fixture.ledger),
            ]
            var count = 0
            await #expect(throws: Crash.self) {
                _ = try await fixture.retirer { _ in
                    guard count < stepsBefore else { throw Crash() }
                    count += 1
                }.retire(Self.march, drops: true, exportsOnly: false)
            }
            // Each job has its events in the ledger, or a record.
            for job in jobs {
                let verification = try #require(try await fixture.ledger.verify(job, Verification.Range()))
                #expect(verification.isIntact && (verification.retiredAt != nil) == (stepsBefore >= 2))
            }
            _ = try await fixture.retirer().retire(Self.march, drops: true, exportsOnly: false)
            try await Self.expectRetired(fixture, jobs)
            #expect(try await fixture.tables() == [])
            #expect(fixture.files == ["progress-ledger-2024-03.ndjson"])
        }
    }

    @Test("the next process completes the detachment that a killed one has begun")
    func killed() async throws {
        try await Self.withFixture { fixture in
            let jobs = [try await PastJob.add(to: fixture.ledger)]
            let reader = Pool(target: fixture.target, logger: TestCluster.logger)
            try await reader.withTransaction { transaction in
                _ = try await transaction.query(Query("select count(*) from ledger.event"))
                let process = try ServerProcess([
                    "retire", "--month", "2024-03", "--folder", fixture.folder, "--database",
                    fixture.target.description,
                ])
                // The detachment waits for this transaction.
                try await eventually {
                    let rows = try await fixture.ledger.pool.query(
                        Query(
                            """
                            select from pg_inherits
                            where inhparent = 'ledger.event'::regclass and inhdetachpending
                            """))
                    return !rows.isEmpty
                }
                process.send(SIGKILL)
                try await process.wait()
                let rows = try await transaction.query(
                    Query(
                        """
                        select pg_terminate_backend(pid) from pg_stat_activity
                        where query like '%concurrently%' and pid <> pg_backend_pid() and datname = current_database()
                        """))
                #expect(rows.count == 1)
            }
            await reader.close()
            #expect(try await fixture.store.storage(of: Self.march).table == .detaching)
            // New jobs can be created, and the job of the month says that it is retired.
            _ = try await fixture.ledger.createJob(JobDescription(name: "new"))
            try await Self.expectRetired(fixture, jobs)
            var steps: [MonthRetirement.Step] = []
            _ = try await fixture.retirer { steps.append($0) }.retire(Self.march, drops: true, exportsOnly: false)
            #expect(steps == [.finishDetaching, .setAside, .drop])
            try await Self.expectRetired(fixture, jobs)
        }
    }

    @Test("a month with unfinished jobs is refused with the first of them, and nothing is changed")
    func unfinished() async throws {
        try await Self.withFixture { fixture in
            let ended = try await PastJob.add(to: fixture.ledger)
            var running: [JobID] = []
            for number in 0..<22 {
                running.append(
                    try await PastJob.add(
                        number: UInt64(number + 2), Array(PastJob.finished.prefix(1)), to: fixture.ledger))
            }
            let failure = await #expect(throws: CommandFailure.self) {
                _ = try await fixture.retirer().retire(Self.march, drops: true, exportsOnly: false)
            }
            #expect(failure?.status == .refused)
            #expect(failure?.description.contains("22 jobs must end first") == true)
            #expect(failure?.description.contains("job \(running[0]) is running") == true)
            #expect(failure?.description.contains("and 2 more") == true)
            #expect(fixture.files.isEmpty)
            #expect(try await fixture.ledger.retirement(of: ended) == nil)
            for month in [try await fixture.store.lastMonth().advanced(by: 1), Month("2199-12")!] {
                let failure = await #expect(throws: CommandFailure.self) {
                    _ = try await fixture.retirer().retire(month, drops: false, exportsOnly: false)
                }
                #expect(failure?.description.contains("is not over") == true)
            }
        }
    }

    @Test("a job that gets an event after the export is exported again, and no file is overwritten")
    func staleExport() async throws {
        try await Self.withFixture { fixture in
            let jobs = [
                try await PastJob.add(to: fixture.ledger), try await PastJob.add(number: 2, to: fixture.ledger),
            ]
            _ = try await fixture.retirer().retire(Self.march, drops: false, exportsOnly: true)
            #expect(try await fixture.ledger.retirement(of: jobs[0]) == nil)
            let before = try Data(contentsOf: URL(filePath: "\(fixture.folder)/progress-ledger-2024-03.ndjson"))
            let late = EventDraft(
                .progress(ProgressReport(reference: ExecutionReference(task: "t", execution: "e"), report: 2, done: 1)))
            let range = try await fixture.ledger.append([late], to: jobs[1])
            try await eventually {
                try await fixture.ledger.waitUntilFolded(jobs[1], sequence: range.upperBound, deadline: .seconds(1))
            }
            let result = try await fixture.retirer().retire(Self.march, drops: true, exportsOnly: false)
            #expect(result.jobs == 2)
            #expect(fixture.files == ["progress-ledger-2024-03.2.ndjson", "progress-ledger-2024-03.ndjson"])
            let after = try Data(contentsOf: URL(filePath: "\(fixture.folder)/progress-ledger-2024-03.ndjson"))
            #expect(before == after)
            try await Self.expectRetired(fixture, jobs)
        }
    }

    @Test("a damaged export is not used, and nothing is dropped without the recorded file")
    func damagedExport() async throws {
        try await Self.withFixture { fixture in
            let jobs = [try await PastJob.add(to: fixture.ledger)]
            _ = try await fixture.retirer().retire(Self.march, drops: false, exportsOnly: true)
            let path = "\(fixture.folder)/progress-ledger-2024-03.ndjson"
            let text = try String(contentsOfFile: path, encoding: .utf8)
            try text.replacingOccurrences(of: "\"done\":1", with: "\"done\":2").write(
                toFile: path, atomically: true, encoding: .utf8)
            _ = try await fixture.retirer().retire(Self.march, drops: false, exportsOnly: false)
            let retirement = try #require(try await fixture.ledger.retirement(of: jobs[0]))
            #expect(retirement.export.place.hasSuffix("/progress-ledger-2024-03.2.ndjson"))
            try FileManager.default.removeItem(atPath: retirement.export.place)
            let failure = await #expect(throws: CommandFailure.self) {
                _ = try await fixture.retirer().retire(Self.march, drops: true, exportsOnly: false)
            }
            #expect(failure?.status == .refused && failure?.description.contains("Nothing was dropped") == true)
            #expect(try await fixture.tables() == ["retired_2024_03"])
        }
    }

    @Test("a month that was detached by hand, and a job that was imported meanwhile, lose nothing")
    func detachedByHand() async throws {
        try await Self.withFixture { fixture in
            let jobs = [try await PastJob.add(to: fixture.ledger)]
            try await fixture.run("alter table ledger.event detach partition ledger.event_2024_03")
            #expect(try await fixture.ledger.verify(jobs[0], Verification.Range())?.fault?.kind == .missing)
            var steps: [MonthRetirement.Step] = []
            _ = try await fixture.retirer { steps.append($0) }.retire(Self.march, drops: false, exportsOnly: false)
            #expect(steps == [.attach, .export, .record, .detach, .setAside])
            try await Self.expectRetired(fixture, jobs)
            // Another job of the same month gets a partition of its own.
            let other = try await PastJob.add(number: 2, to: fixture.ledger)
            #expect(try await fixture.tables() == ["event_2024_03 attached", "retired_2024_03"])
            let failure = await #expect(throws: CommandFailure.self) {
                _ = try await fixture.retirer().retire(Self.march, drops: false, exportsOnly: false)
            }
            #expect(failure?.description.contains("--drop") == true)
            _ = try await fixture.retirer().retire(Self.march, drops: true, exportsOnly: false)
            #expect(try await fixture.tables() == [])
            try await Self.expectRetired(fixture, jobs + [other])
        }
    }

    @Test("while a month is detached and attached again, a reader sees all of it or an error")
    func attachedAgainUnderLoad() async throws {
        try await Self.withFixture { fixture in
            let job = try await PastJob.add(to: fixture.ledger)
            let ledger = fixture.ledger
            let isOver = Atomic(false)
            async let changes: Void = {
                defer { isOver.store(true, ordering: .releasing) }
                for _ in 0..<20 {
                    try await fixture.run("alter table ledger.event detach partition ledger.event_2024_03 concurrently")
                    try await fixture.store.attach(Self.march)
                }
            }()
            var (whole, failed) = (0, 0)
            while !isOver.load(ordering: .acquiring) {
                do throws(StoreError) {
                    let page = try await ledger.events(job, EventFilter(), after: nil, limit: 10)
                    #expect(page?.events.count == 4)
                    whole += 1
                } catch {
                    #expect(error.code == .incomplete, "\(error)")
                    failed += 1
                }
                let verification = try #require(try await ledger.verify(job, Verification.Range()))
                #expect(verification.isIntact || verification.fault?.kind == .missing, "\(verification)")
                // Another month concerns no job of this one.
                let partitions = await ledger.readiness().checks.first { $0.name == "partitions" }
                #expect(partitions?.isPassed == true && partitions?.isWarning == false)
            }
            try await changes
            #expect(whole + failed > 0)
            #expect(try await ledger.verify(job, Verification.Range())?.isIntact == true)
            #expect(try await fixture.tables() == ["event_2024_03 attached"])
            #expect(try await Migrator(target: fixture.target, logger: TestCluster.logger).guaranteeFaults() == [])
        }
    }

    @Test("a single job is exported, verified and deleted; other jobs of its month stay")
    func job() async throws {
        try await Self.withFixture { fixture in
            let job = try await PastJob.add(to: fixture.ledger)
            let other = try await PastJob.add(number: 2, to: fixture.ledger)
            let running = try await PastJob.add(
                number: 3, createdAt: Timestamp(microseconds: PastJob.march.microseconds + 31 * 86_400_000_000),
                Array(PastJob.finished.prefix(1)), to: fixture.ledger)
            let refused = await #expect(throws: CommandFailure.self) {
                _ = try await fixture.retirer().retire(running, exportsOnly: false)
            }
            #expect(refused == CommandFailure(.refused, "Nothing was retired: job \(running) is running."))
            #expect(fixture.files.isEmpty)
            await #expect(throws: Crash.self) {
                _ = try await fixture.retirer { if $0 == .record { throw Crash() } }.retire(job, exportsOnly: false)
            }
            let result = try await fixture.retirer(place: "s3://archive/").retire(job, exportsOnly: false)
            #expect(result?.jobs == 1 && fixture.files == ["progress-ledger-\(job).ndjson"])
            let retirement = try #require(try await fixture.ledger.retirement(of: job))
            #expect(retirement.export.place == "s3://archive/progress-ledger-\(job).ndjson")
            let again = try await fixture.retirer().retire(job, exportsOnly: false)
            #expect(again == nil)
            #expect(try await fixture.ledger.verify(other, Verification.Range())?.sequence == 4)
            #expect(try await fixture.tables() == ["event_2024_03 attached"])
            // The rest of the month follows, and the job's own export stays the recorded one.
            _ = try await fixture.retirer().retire(Self.march, drops: true, exportsOnly: false)
            #expect(try await fixture.ledger.retirement(of: job) == retirement)
            try await Self.expectRetired(fixture, [other])
        }
    }
}
