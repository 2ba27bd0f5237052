import Foundation
import Glibc
import Ledger
import LedgerStore
import LedgerTestSupport
import Testing

@testable import LedgerCommands

@Suite("A killed move between shards", .timeLimit(.minutes(10)))
struct KilledMoveTests {
    /// A moment at which the command is killed.
    ///
    /// It is just before or after a statement reaches a shard.
    private struct Moment {
        let shard: Int
        /// The beginning of the statement.
        let statement: String
        /// Whether the statement still reaches the shard.
        let isForwarded: Bool
        /// Whether a prepared transaction is left.
        let isPrepared: Bool
        /// The shard that has the job afterwards.
        let place: Int
    }

    private static let (source, target) = (0, 1)

    /// All steps of a move from shard 0 to shard 1, in their order.
    private static let moments: [Moment] = [
        Moment(
            shard: target, statement: "select ledger.make_event_partition", isForwarded: false, isPrepared: false,
            place: source),
        // The events are copied.
        Moment(
            shard: source, statement: "select from ledger.job_head", isForwarded: false, isPrepared: false,
            place: source),
        // The job is locked.
        Moment(
            shard: source, statement: "select from ledger.job_head", isForwarded: true, isPrepared: false,
            place: source),
        Moment(
            shard: target, statement: "copy ledger.execution from", isForwarded: true, isPrepared: false,
            place: source),
        Moment(
            shard: source, statement: "select ledger.move_job", isForwarded: false, isPrepared: false, place: source),
        // The job is deleted, without a commit.
        Moment(
            shard: source, statement: "select ledger.move_job", isForwarded: true, isPrepared: false, place: source),
        Moment(
            shard: target, statement: "prepare transaction", isForwarded: false, isPrepared: false, place: source),
        Moment(shard: target, statement: "prepare transaction", isForwarded: true, isPrepared: true, place: source),
        Moment(
            shard: source, statement: "insert into ledger.shard_commit", isForwarded: false, isPrepared: true,
            place: source),
        // The decision.
        Moment(
            shard: source, statement: "insert into ledger.shard_commit", isForwarded: true, isPrepared: true,
            place: target),
        Moment(shard: target, statement: "commit prepared", isForwarded: false, isPrepared: true, place: target),
        Moment(shard: target, statement: "commit prepared", isForwarded: true, isPrepared: false, place: target),
    ]

    @Test("killed before or after any step, a move leaves the job in one shard, and can be repeated")
    func killedAtEachStep() async throws {
        try await ShardedDatabases.with(2) { shards in
            let server = try ServerProcess(["serve", "--port", "0", "--shards", shards.file])
            let url = try await server.url()
            for moment in Self.moments {
                let name = "\(moment.isForwarded ? "after" : "before") '\(moment.statement)'"
                let job = try #require(try await shards.makeJobs(in: [Self.source], at: url)[Self.source])
                try await Self.append(1, to: job, at: url)
                try await shards.withProxies { proxies, file in
                    let proxy = try #require(proxies[moment.shard])
                    proxy.stop(at: moment.statement, isForwarded: moment.isForwarded)
                    let move = try ServerProcess(["shards", "move", "\(job)", "--to", "1", "--shards", file])
                    try await eventually {
                        try #require(move.isRunning, "\(move.printed)")
                        return proxy.hasStopped
                    }
                    if moment.isPrepared { try await eventually(equals: 1) { try await shards.preparedCount() } }
                    move.send(SIGKILL)
                    try await move.wait()
                }
                let killed = ContinuousClock.now
                try await eventually(equals: 0) { try await shards.preparedCount() }
                #expect(killed.duration(to: .now) < .seconds(5), "\(name): settled")
                try await eventually(equals: [moment.place]) { try await shards.places(of: job) }
                try await Self.append(2, to: job, at: url)
                try await Self.expectIntact(job, events: 3, at: url, name)

                let repeated = try await CommandRun.ledger(
                    "shards", "move", "\(job)", "--to", "1", "--shards", shards.file)
                #expect(repeated.status == 0, "\(name): \(repeated.output)\(repeated.errors)")
                #expect(try await shards.places(of: job) == [Self.target], "\(name)")
                try await Self.append(3, to: job, at: url)
                try await Self.expectIntact(job, events: 4, at: url, name)
            }
            server.send(SIGTERM)
            try await server.wait()
        }
    }

    /// Appends a report, repeatedly until it is acknowledged.
    ///
    /// A job that is moved is unavailable for a moment.
    private static func append(_ report: Int, to job: JobID, at url: String) async throws {
        let event = "{\"type\":\"progress\",\"task\":\"t\",\"execution\":\"e\",\"report\":\(report),\"done\":1}"
        try await eventually {
            try await CommandRun.run(
                "/usr/bin/curl",
                [
                    "--silent", "--fail", "--max-time", "20", "--header", "Content-Type: application/json", "--data",
                    event, "\(url)/v1/jobs/\(job)/events?wait=folded",
                ]
            ).status == 0
        }
    }

    private static func expectIntact(_ job: JobID, events: Int, at url: String, _ name: String) async throws {
        let verified = try await CommandRun.ledger("verify", "\(job)", "--server", url)
        #expect(verified.status == 0, "\(name): \(verified.output)\(verified.errors)")
        let read = try await CommandRun.run(
            "/usr/bin/curl", ["--silent", "--fail", "\(url)/v1/jobs/\(job)/events?limit=10"])
        let page = try JSONSerialization.jsonObject(with: Data(read.output.utf8)) as? [String: Any]
        #expect((page?["events"] as? [Any])?.count == events, "\(name): \(read.output)")
    }
}
