import Foundation
import Glibc
import Ledger
import LedgerStore
import LedgerTestSupport
import LedgerWire
import PQ
import Testing

@testable import LedgerCommands

/// A month leaves all shards or none, also after a crash between two shards.
@Suite("retire with shards", .timeLimit(.minutes(10)))
struct ShardedRetireTests {
    /// Imports a job of March 2024 through the service.
    ///
    /// - Returns: The shard that it is in.
    private static func importJob(
        _ number: UInt64, _ drafts: [EventDraft] = PastJob.finished, of shards: ShardedDatabases, at url: String
    ) async throws -> (job: JobID, shard: Int) {
        let excerpt = PastJob.excerpt(number: number, drafts)
        let file = FileManager.default.temporaryDirectory.appending(path: "\(UUID().uuidString).ndjson")
        defer { TestFiles.remove(file.path()) }
        var lines = JSONWriter()
        excerpt.writeHeader(to: &lines)
        lines.newLine()
        for event in excerpt.events {
            event.write(to: &lines)
            lines.newLine()
        }
        try Data(lines.bytes).write(to: file)
        let imported = try await CommandRun.ledger("import", file.path(), "--server", url)
        try #require(imported.status == 0, "\(imported.errors)")
        let place = try #require(try await shards.places(of: excerpt.job).first)
        return (excerpt.job, place)
    }

    /// Imports jobs until each of two shards has two.
    private static func importJobs(of shards: ShardedDatabases, at url: String) async throws -> [Int: [JobID]] {
        var jobs: [Int: [JobID]] = [:]
        // The slot of a job is in the low half of its id, whose last bits are this number.
        for number in 0..<2 {
            for shard in [0, 1] {
                let slot = UInt64(shard == 0 ? 0 : 1_023)
                let id = slot << 52 | UInt64(number) + 1
                let (job, place) = try await importJob(id, of: shards, at: url)
                jobs[place, default: []].append(job)
            }
        }
        return jobs
    }

    private static func status(of job: JobID, at url: String) async throws -> String {
        try await CommandRun.run(
            "/usr/bin/curl",
            ["--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "\(url)/v1/jobs/\(job)"]
        ).output
    }

    /// Checks the commands of an operator.
    private static func expectHealthy(_ url: String, _ jobs: Int, _ moment: String) async throws {
        let verified = try await CommandRun.ledger("verify", "--all", "--server", url)
        #expect(verified.status == 0, "\(moment): \(verified.output)\(verified.errors)")
        let ready = try await CommandRun.run("/usr/bin/curl", ["--silent", "--fail", "\(url)/readyz"])
        #expect(ready.status == 0, "\(moment): \(ready.output)")
        let status = try await CommandRun.ledger("status", "--server", url)
        #expect(status.hasNoProblem, "\(moment): \(status.output)\(status.errors)")
        let listed = try await CommandRun.ledger("jobs", "--server", url)
        #expect(listed.lines.count == jobs + 1, "\(moment): \(listed.output)")
    }

    @Test("killed between two shards, retire leaves one whole, and the next one completes it")
    func interrupted() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "retire-\(UUID().uuidString)").path()
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        defer { TestFiles.remove(folder) }
        try await ShardedDatabases.with(2) { shards in
            let server = try ServerProcess(["serve", "--port", "0", "--shards", shards.file])
            let url = try await server.url()
            let jobs = try await Self.importJobs(of: shards, at: url)
            let (first, second) = (try #require(jobs[0]), try #require(jobs[1]))
            #expect(first.count == 2 && second.count == 2)
            for job in first + second {
                try await eventually(equals: "200") { try await Self.status(of: job, at: url) }
            }
            try await Self.expectHealthy(url, 4, "before")
            func retire(_ file: String, _ arguments: String...) -> [String] {
                ["retire", "--month", "2024-03", "--folder", folder, "--shards", file] + arguments
            }
            try await shards.withProxies { proxies, file in
                let proxy = try #require(proxies[1])
                proxy.stop(at: "select ledger.retire_jobs", isForwarded: false)
                let retiring = try ServerProcess(retire(file))
                try await eventually {
                    try #require(retiring.isRunning, "\(retiring.printed)")
                    return proxy.hasStopped
                }
                retiring.send(SIGKILL)
                try await retiring.wait()
            }
            for job in first { #expect(try await Self.status(of: job, at: url) == "410") }
            for job in second { #expect(try await Self.status(of: job, at: url) == "200") }
            try await Self.expectHealthy(url, 4, "between the shards")
            let files = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
            #expect(files == ["progress-ledger-2024-03-shard-0.ndjson", "progress-ledger-2024-03-shard-1.ndjson"])

            let resumed = try await CommandRun.run(ServerProcess.binary, retire(shards.file, "--drop"))
            #expect(resumed.status == 0, "\(resumed.output)\(resumed.errors)")
            #expect(resumed.lines.contains("2024-03  shard 0  retired 0 jobs"), "\(resumed.output)")
            #expect(resumed.lines.contains("2024-03  shard 1  retired 2 jobs"), "\(resumed.output)")
            for job in first + second { #expect(try await Self.status(of: job, at: url) == "410") }
            try await Self.expectHealthy(url, 4, "after")
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == files)
            #expect(
                try await shards.count(of: "select from pg_class where relname ~ '_2024_03$' and relkind = 'r'") == 0)
            server.send(SIGTERM)
            try await server.wait()
        }
    }

    @Test("if a job of one shard has not ended, nothing is removed from any")
    func unfinished() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "retire-\(UUID().uuidString)").path()
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        defer { TestFiles.remove(folder) }
        try await ShardedDatabases.with(2) { shards in
            let server = try ServerProcess(["serve", "--port", "0", "--shards", shards.file])
            let url = try await server.url()
            let ended = try await Self.importJob(1, of: shards, at: url)
            let running = try await Self.importJob(
                1_023 << 52 | 1, Array(PastJob.finished.prefix(1)), of: shards, at: url)
            #expect(ended.shard == 0 && running.shard == 1)
            for job in [ended.job, running.job] {
                try await eventually(equals: "200") { try await Self.status(of: job, at: url) }
            }
            let refused = try await CommandRun.ledger(
                "retire", "--month", "2024-03", "--folder", folder, "--shards", shards.file)
            #expect(refused.status == ExitStatus.refused.rawValue, "\(refused.output)")
            #expect(refused.errors.contains("Shard 1: 2024-03 is not retired"), "\(refused.errors)")
            #expect(try await Self.status(of: ended.job, at: url) == "200")

            let job = try await CommandRun.ledger(
                "retire", "\(ended.job)", "--folder", folder, "--shards", shards.file, "--json")
            #expect(job.status == 0 && job.output.contains("\"shard\":0,\"retired_jobs\":1"), "\(job)")
            #expect(try await Self.status(of: ended.job, at: url) == "410")
            let unknown = try await CommandRun.ledger(
                "retire", "01900000-0000-7000-8000-000000000000", "--folder", folder, "--shards", shards.file)
            #expect(unknown.status == ExitStatus.notFound.rawValue, "\(unknown)")
            server.send(SIGTERM)
            try await server.wait()
        }
    }
}
