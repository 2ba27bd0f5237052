import Foundation
import Glibc
import Ledger
import LedgerStore
import LedgerTestSupport
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

    @Test("killed at any moment, it leaves each request over several shards recorded or absent")
    func killedWhileAppending() async throws {
        try await ShardedDatabases.with(3) { shards in
            let survivor = try ServerProcess(["serve", "--port", "0", "--shards", shards.file])
            let url = try await survivor.url()
            let jobs = try await shards.makeJobs(in: [0, 1, 2], at: url)
            let all = Array(jobs.values)
            for round in 1...4 {
                let victim = try ServerProcess(["serve", "--port", "0", "--no-projection", "--shards", shards.file])
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
                try await eventually(equals: 0) { try await shards.preparedCount() }
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

    /// A moment at which the server is killed.
    ///
    /// It is just before or after a statement reaches a shard.
    private struct Moment {
        let shard: Int
        /// A part of the statement.
        let statement: String
        /// Whether the statement still reaches the shard.
        let isForwarded: Bool
        /// The number of prepared transactions that are left.
        let prepared: Int
        /// Whether the request is recorded.
        let isRecorded: Bool
    }

    /// The steps of a request with events of shards 0, 1 and 2, in their order.
    ///
    /// Shard 0 decides.
    private static let moments = [
        Moment(shard: 2, statement: "prepare transaction", isForwarded: false, prepared: 0, isRecorded: false),
        Moment(shard: 2, statement: "prepare transaction", isForwarded: true, prepared: 1, isRecorded: false),
        Moment(shard: 1, statement: "prepare transaction", isForwarded: true, prepared: 2, isRecorded: false),
        Moment(shard: 0, statement: "select $1, case", isForwarded: false, prepared: 2, isRecorded: false),
        Moment(shard: 0, statement: "select $1, case", isForwarded: true, prepared: 2, isRecorded: true),
        Moment(shard: 2, statement: "commit prepared", isForwarded: false, prepared: 2, isRecorded: true),
        Moment(shard: 2, statement: "commit prepared", isForwarded: true, prepared: 1, isRecorded: true),
        Moment(shard: 1, statement: "commit prepared", isForwarded: true, prepared: 0, isRecorded: true),
    ]

    @Test("killed before or after any step of a request over three shards, it is settled within 5 s")
    func killedAtEachStep() async throws {
        try await ShardedDatabases.with(3) { shards in
            let survivor = try ServerProcess(["serve", "--port", "0", "--shards", shards.file])
            let url = try await survivor.url()
            let jobs = try await shards.makeJobs(in: [0, 1, 2], at: url)
            var recorded: [String] = []
            for (number, moment) in Self.moments.enumerated() {
                let name = "\(moment.isForwarded ? "after" : "before") '\(moment.statement)' in \(moment.shard)"
                try await shards.withProxies { proxies, file in
                    let victim = try ServerProcess(["serve", "--port", "0", "--no-projection", "--shards", file])
                    let victimURL = try await victim.url()
                    let proxy = try #require(proxies[moment.shard])
                    proxy.stop(at: moment.statement, isForwarded: moment.isForwarded)
                    async let acknowledged = Self.append(to: Array(jobs.values), as: "moment \(number)", at: victimURL)
                    try await eventually {
                        try #require(victim.isRunning, "\(victim.printed)")
                        return proxy.hasStopped
                    }
                    try await eventually(equals: moment.prepared) { try await shards.preparedCount() }
                    victim.send(SIGKILL)
                    #expect(try await acknowledged.isEmpty, "\(name)")
                }
                let killed = ContinuousClock.now
                try await eventually(equals: 0) { try await shards.preparedCount() }
                #expect(killed.duration(to: .now) < .seconds(5), "\(name)")
                if moment.isRecorded { recorded.append("moment \(number) 1") }
                for job in jobs.values {
                    try await eventually(equals: recorded) { try await Self.reports(of: job, at: url).sorted() }
                }
            }
            for job in jobs.values {
                let verified = try await CommandRun.ledger("verify", job.description, "--server", url)
                #expect(verified.status == 0, "\(verified.output)\(verified.errors)")
            }
            survivor.send(SIGTERM)
            try await survivor.wait()
        }
    }
}
