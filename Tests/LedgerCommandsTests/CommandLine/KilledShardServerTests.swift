import Foundation
import Glibc
import Ledger
import LedgerStore
import LedgerTestSupport
import PQ
import Testing

@testable import LedgerCommands

@Suite("A killed server of a divided ledger", .timeLimit(.minutes(10)))
struct KilledShardServerTests {
    /// The reports of a job that the ledger contains, as `EXECUTION REPORT`.
    private static func reports(of job: JobID, at url: String) async throws -> [String] {
        let page = try await CommandRun.run(
            "/usr/bin/curl", ["--silent", "--fail", "\(url)/v1/jobs/\(job)/events?type=progress&limit=1000"])
        let object = try JSONSerialization.jsonObject(with: Data(page.output.utf8)) as? [String: Any]
        let events = try #require(object?["events"] as? [[String: Any]], "\(page.output)\(page.errors)")
        return events.map { "\($0["execution"] ?? "-") \($0["report"] ?? "-")" }
    }

    /// Appends events to each job until the server does not respond.
    ///
    /// - Returns: The reports that were acknowledged.
    private static func append(to jobs: [JobID], as execution: String, at url: String) async throws -> [String] {
        var acknowledged: [String] = []
        for report in 1... {
            let lines = jobs.map { job in
                "{\"job\":\"\(job)\",\"type\":\"progress\",\"task\":\"t\",\"execution\":\"\(execution)\",\"report\":\(report),\"done\":1}"
            }
            let posted = try await CommandRun.run(
                "/usr/bin/curl",
                [
                    "--silent", "--fail", "--max-time", "20", "--header", "Content-Type: application/x-ndjson",
                    "--data-binary", lines.joined(separator: "\n"), "\(url)/v1/events",
                ])
            guard posted.status == 0 else { break }
            acknowledged.append("\(execution) \(report)")
        }
        return acknowledged
    }

    /// The number of prepared transactions in these databases.
    private static func prepared(_ targets: [Int: ConnectionTarget]) async throws -> Int {
        var count = 0
        for target in targets.values {
            let pool = Pool(target: target, logger: TestCluster.logger)
            let rows = try await pool.query(
                Query("select count(*) from pg_prepared_xacts where database = current_database()"))
            count += try rows[0].decode(0, as: Int.self)
            await pool.close()
        }
        return count
    }

    @Test("killed at any moment, it leaves each request over several shards recorded or absent")
    func killedWhileAppending() async throws {
        try await withLedgerDatabases(3) { targets in
            try await addShards([0, 1, 2], of: targets)
            let file = FileManager.default.temporaryDirectory.appending(path: "\(UUID().uuidString).shards").path()
            let lines = targets.sorted { $0.key < $1.key }.map { "\($0.key) = \($0.value.description)" }
            try Data(lines.joined(separator: "\n").utf8).write(to: URL(filePath: file))
            defer { TestFiles.remove(file) }
            let survivor = try ServerProcess(["serve", "--port", "0", "--shards", file])
            let url = try await survivor.url()
            let owners = ShardMap.owners(adding: [0, 1, 2], to: nil)
            var jobs: [Int: JobID] = [:]
            while jobs.count < 3 {
                let created = try await CommandRun.run(
                    "/usr/bin/curl",
                    [
                        "--silent", "--fail", "--data", "{\"name\":\"n\"}", "--header",
                        "Content-Type: application/json",
                        "\(url)/v1/jobs",
                    ])
                let object = try JSONSerialization.jsonObject(with: Data(created.output.utf8)) as? [String: Any]
                let job = try #require((object?["job"] as? String).flatMap { JobID($0) })
                jobs[owners[ShardMap.slot(of: job)]] = job
            }
            let all = Array(jobs.values)
            for round in 1...4 {
                let victim = try ServerProcess(["serve", "--port", "0", "--no-projection", "--shards", file])
                let victimURL = try await victim.url()
                let acknowledged = try await withThrowingTaskGroup(of: [String].self) { group in
                    for poster in 1...3 {
                        group.addTask {
                            try await Self.append(to: all, as: "round \(round) poster \(poster)", at: victimURL)
                        }
                    }
                    // It is killed in the midst of appends, after the first ones.
                    try await eventually({ $0 > 4 }) {
                        try await Self.reports(of: all[0], at: url).count { $0.hasPrefix("round \(round) ") }
                    }
                    victim.send(SIGKILL)
                    return try await group.reduce(into: []) { $0 += $1 }
                }
                let killed = ContinuousClock.now
                try await eventually(equals: 0) { try await Self.prepared(targets) }
                let found = try await eventually({ Set($0).count == 1 }) {
                    var found: [[String]] = []
                    for job in all { found.append(try await Self.reports(of: job, at: url).sorted()) }
                    return found
                }
                #expect(killed.duration(to: .now) < .seconds(10))
                #expect(Set(found[0]).count == found[0].count, "a report is recorded once")
                #expect(Set(acknowledged).subtracting(found[0]).isEmpty)
            }
            for job in all {
                let verified = try await CommandRun.ledger("verify", job.description, "--server", url)
                #expect(verified.status == 0, "\(verified.output)\(verified.errors)")
            }
            survivor.send(SIGTERM)
            try await survivor.wait()
        }
    }
}
