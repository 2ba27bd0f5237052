import Foundation
import Ledger
import LedgerStore
import LedgerTestSupport
import LedgerWire
import PQ
import Testing

@testable import LedgerCommands

@Suite("retire as a command", .timeLimit(.minutes(10)))
struct RetireCommandTests {
    private static let march = Month("2024-03")!
    private static let april = Timestamp(microseconds: PastJob.march.microseconds + 31 * 86_400_000_000)

    private static func withFolder(_ body: (String) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "retire-\(UUID().uuidString)").path()
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        defer { TestFiles.remove(folder) }
        try await body(folder)
    }

    /// The number of months to keep so that a month is the newest one to retire.
    private static func monthsAfter(_ month: Month, _ target: ConnectionTarget) async throws -> Int {
        let store = try await RetirementStore(target: target, logger: TestCluster.logger)
        let last = try await store.lastMonth()
        await store.close()
        var count = 0
        while last.advanced(by: -count) > month { count += 1 }
        return count
    }

    @Test("retire --keep-months retires older months and prints JSON; --drop deletes their tables")
    func keepMonths() async throws {
        try await Self.withFolder { folder in
            try await withLedgerDatabase { target in
                let (jobs, later) = try await withRunningLedger(on: target) { ledger in
                    (
                        [try await PastJob.add(to: ledger), try await PastJob.add(number: 2, to: ledger)],
                        try await PastJob.add(number: 3, createdAt: Self.april, to: ledger)
                    )
                }
                let kept = try await Self.monthsAfter(Self.march, target)
                func retire(_ arguments: String...) async throws -> CommandRun {
                    try await CommandRun.run(
                        ServerProcess.binary,
                        ["retire", "--folder", folder, "--database", target.description] + arguments)
                }
                let retired = try await retire("--keep-months", "\(kept)", "--place", "s3://archive/ledger/", "--json")
                #expect(retired.status == 0, "\(retired.errors)")
                #expect(retired.lines.count == 1, "\(retired.output)")
                let result = try JSONReader.read(Array(retired.output.utf8))
                #expect(result["month"]?.text == "2024-03" && result["retired_jobs"]?.integer == 2)
                let export = try #require(result["exports"]?.elements?.first)
                #expect(export["jobs"]?.integer == 2)
                let path = try #require(export["file"]?.text)
                #expect(FileManager.default.fileExists(atPath: path))
                #expect(export["place"]?.text == "s3://archive/ledger/progress-ledger-2024-03.ndjson")
                #expect(export["sha256"]?.text?.utf8.count == 64)

                // The table is deleted only while the folder has the export.
                let aside = path + ".aside"
                try FileManager.default.moveItem(atPath: path, toPath: aside)
                let refused = try await retire("--month", "2024-03", "--drop")
                #expect(refused.status != 0, "\(refused)")
                #expect(try await Self.hasRetiredTable(target))
                try FileManager.default.moveItem(atPath: aside, toPath: path)
                let dropped = try await retire("--month", "2024-03", "--drop")
                #expect(dropped.status == 0 && dropped.output == "2024-03  retired 0 jobs\n", "\(dropped)")
                #expect(try await !Self.hasRetiredTable(target))

                try await withRunningLedger(on: target) { ledger in
                    for job in jobs {
                        let retirement = try await ledger.retirement(of: job)
                        #expect(retirement != nil)
                    }
                    let state = try await ledger.job(later)?.snapshot.state
                    #expect(state == .completed)
                }
            }
        }
    }

    private static func hasRetiredTable(_ target: ConnectionTarget) async throws -> Bool {
        let pool = Pool(target: target, logger: TestCluster.logger)
        let rows = try await pool.query(Query("select to_regclass('ledger.retired_2024_03') is not null"))
        await pool.close()
        return try rows[0].decode(0)
    }

    @Test("--keep-months retires the other months if one has an unfinished job, and exits with 2")
    func unfinished() async throws {
        try await Self.withFolder { folder in
            try await withLedgerDatabase { target in
                try await withRunningLedger(on: target) { ledger in
                    _ = try await PastJob.add(Array(PastJob.finished.prefix(1)), to: ledger)
                    _ = try await PastJob.add(number: 2, createdAt: Self.april, to: ledger)
                }
                let kept = try await Self.monthsAfter(Self.march.advanced(by: 1), target)
                let run = try await CommandRun.ledger(
                    "retire", "--folder", folder, "--database", target.description, "--keep-months", "\(kept)")
                #expect(run.status == ExitStatus.refused.rawValue)
                #expect(run.errors.contains("1 job must end first"), "\(run.errors)")
                #expect(run.errors.contains("1 month could not be retired."), "\(run.errors)")
                #expect(run.lines.last == "2024-04  retired 1 job", "\(run.output)")
            }
        }
    }

    @Test(
        "retire refuses contradicting arguments",
        arguments: [
            ["--month", "2024-03", "--keep-months", "3"], ["--month", "march"], ["--keep-months", "-1"], [],
            ["--month", "2024-03", "--drop", "--export-only"],
        ])
    func usage(arguments: [String]) async throws {
        let run = try await CommandRun.run(ServerProcess.binary, ["retire", "--folder", "/"] + arguments)
        #expect(run.status == ExitStatus.usage.rawValue, "\(run)")
    }
}
