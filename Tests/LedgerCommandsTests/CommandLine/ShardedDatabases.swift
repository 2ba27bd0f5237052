import Foundation
import Ledger
import LedgerStore
import LedgerTestSupport
import PQ
import Testing

/// The databases of a divided ledger, and a file that names them.
struct ShardedDatabases {
    let targets: [Int: ConnectionTarget]
    /// The path of the file of shards.
    let file: String

    /// Runs the body with new databases, which are shards of one ledger.
    static func with(_ count: Int, _ body: (ShardedDatabases) async throws -> Void) async throws {
        try await withLedgerDatabases(count) { targets in
            try await addShards(Array(0..<count), of: targets)
            try await withFile(of: targets) { try await body(ShardedDatabases(targets: targets, file: $0)) }
        }
    }

    /// Runs the body with a file that names these databases.
    static func withFile<R>(
        of targets: [Int: ConnectionTarget], _ body: (_ path: String) async throws -> R
    ) async throws -> R {
        let file = FileManager.default.temporaryDirectory.appending(path: "\(UUID().uuidString).shards").path()
        let lines = targets.sorted { $0.key < $1.key }.map { "\($0.key) = \($0.value.description)" }
        try Data(lines.joined(separator: "\n").utf8).write(to: URL(filePath: file))
        defer { TestFiles.remove(file) }
        return try await body(file)
    }

    /// Runs the body with proxies before the databases.
    ///
    /// The file names the proxies.
    ///
    /// Afterwards the proxies are closed.
    func withProxies<R>(_ body: (_ proxies: [Int: FaultProxy], _ file: String) async throws -> R) async throws -> R {
        let proxies = try targets.mapValues { try FaultProxy(before: $0) }
        defer { for proxy in proxies.values { proxy.close() } }
        return try await Self.withFile(of: proxies.mapValues(\.target)) { try await body(proxies, $0) }
    }

    // MARK: Through the service

    /// Creates a job in each of these shards.
    func makeJobs(in shards: [Int], at url: String) async throws -> [Int: JobID] {
        let owners = ShardMap.owners(adding: targets.keys.sorted(), to: nil)
        var jobs: [Int: JobID] = [:]
        while !shards.allSatisfy({ jobs[$0] != nil }) {
            let created = try await CommandRun.run(
                "/usr/bin/curl",
                [
                    "--silent", "--fail", "--data", "{\"name\":\"n\"}", "--header", "Content-Type: application/json",
                    "\(url)/v1/jobs",
                ])
            let object = try JSONSerialization.jsonObject(with: Data(created.output.utf8)) as? [String: Any]
            let job = try #require((object?["job"] as? String).flatMap { JobID($0) }, "\(created.errors)")
            jobs[owners[ShardMap.slot(of: job)]] = job
        }
        return jobs
    }

    // MARK: In the databases

    private func rows(_ query: String) async throws -> [Int: Rows] {
        var found: [Int: Rows] = [:]
        for (number, target) in targets {
            let pool = Pool(target: target, logger: TestCluster.logger)
            found[number] = try await pool.query(Query(query, prepare: false))
            await pool.close()
        }
        return found
    }

    /// The number of rows of a query in all shards.
    func count(of query: String) async throws -> Int {
        try await rows(query).values.reduce(0) { $0 + $1.count }
    }

    /// The number of prepared transactions in all shards.
    func preparedCount() async throws -> Int {
        try await count(of: "select from pg_prepared_xacts where database = current_database()")
    }

    /// The shards that have the job.
    func places(of job: JobID) async throws -> [Int] {
        try await rows("select from ledger.job where job_id = '\(job)'").filter { !$0.value.isEmpty }.keys.sorted()
    }
}
