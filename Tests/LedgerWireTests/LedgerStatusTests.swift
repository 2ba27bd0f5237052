import Ledger
import LedgerWire
import Testing

@Suite("The status of the ledger as JSON")
struct LedgerStatusTests {
    @Test(
        "an age that no integer can contain is written as the nearest one",
        arguments: [
            (Double.nan, Int64(0)), (.infinity, .max), (-.infinity, .min), (1e300, .max), (-1e300, .min),
            (1.5, 1_500_000),
            (-2.25, -2_250_000), (0, 0),
        ])
    func ages(seconds: Double, microseconds: Int64) throws {
        let job = JobID(high: 1, low: 2)
        var status = LedgerStatus(
            lag: LedgerStatus.Lag(
                jobs: 1, events: 1, seconds: seconds,
                mostBehind: [LedgerStatus.BehindJob(job: job, events: 1, seconds: seconds)]),
            workers: [], stuckJobs: [], stuckJobCount: 0,
            blocked: [
                LedgerStatus.Blocked(
                    session: LedgerStatus.Session(
                        process: 1, application: "a", state: nil, seconds: seconds, statement: nil), blockers: [])
            ], replay: nil)
        status.vacuumHolders = [
            LedgerStatus.VacuumHolder(kind: .transaction, name: "n", process: nil, seconds: seconds, transactions: 1)
        ]
        var writer = JSONWriter()
        status.write(to: &writer)
        let json = try JSONReader.read(writer.bytes)
        let expected = JSONValue.integer(Int128(microseconds))
        #expect(json["lag"]?["microseconds"] == expected)
        #expect(json["lag"]?["most_behind"]?.elements?.first?["microseconds"] == expected)
        #expect(json["blocked"]?.elements?.first?["microseconds"] == expected)
        #expect(json["vacuum"]?["held_back_by"]?.elements?.first?["microseconds"] == expected)
        #expect(try LedgerStatus(json).lag.seconds == Double(microseconds) / 1e6)
    }

    private static func database(
        commit: String = "on", standbys: String = "", fsync: Bool = true, pages: Bool = true
    ) -> LedgerStatus.Database {
        LedgerStatus.Database(
            version: "17.5", synchronousCommit: commit, synchronousStandbyNames: standbys, synchronousStandbys: 1,
            fsync: fsync, fullPageWrites: pages)
    }

    @Test("a promise is made only if all settings that it depends on allow it")
    func promises() {
        #expect(Self.database().survivesCrash && !Self.database().survivesFailover)
        for commit in ["on", "remote_apply"] {
            #expect(Self.database(commit: commit, standbys: "a").survivesFailover)
        }
        for commit in ["remote_write", "local"] {
            let database = Self.database(commit: commit, standbys: "a")
            #expect(database.survivesCrash && !database.survivesFailover)
        }
        for weak in [
            Self.database(commit: "off", standbys: "a"), Self.database(standbys: "a", fsync: false),
            Self.database(standbys: "a", pages: false),
        ] { #expect(!weak.survivesCrash && !weak.survivesFailover) }
    }

    @Test("a standby that serves reads is written and read, also one that does not respond")
    func readReplica() throws {
        var status = LedgerStatus(
            lag: LedgerStatus.Lag(jobs: 0, events: 0, seconds: 0), workers: [], stuckJobs: [], stuckJobCount: 0,
            blocked: [], replay: nil)
        var serving = LedgerStatus.ReadReplica()
        (serving.lagBytes, serving.lagSeconds, serving.reads, serving.fallbacks) = (4_096, 1.5, 7, 2)
        var away = LedgerStatus.ReadReplica()
        away.fault = "no connection"
        for replica in [nil, serving, away] {
            status.readReplica = replica
            var writer = JSONWriter()
            status.write(to: &writer)
            #expect(try LedgerStatus(JSONReader.read(writer.bytes)) == status)
        }
    }

    @Test("the database is written and read; one that is not visible, or an older server's, is nil")
    func database() throws {
        var status = LedgerStatus(
            lag: LedgerStatus.Lag(jobs: 0, events: 0, seconds: 0), workers: [], stuckJobs: [], stuckJobCount: 0,
            blocked: [], replay: nil)
        var hidden = Self.database(standbys: "a")
        hidden.synchronousStandbys = nil
        for database in [nil, Self.database(commit: "local", fsync: false), hidden] {
            status.database = database
            var writer = JSONWriter()
            status.write(to: &writer)
            #expect(try LedgerStatus(JSONReader.read(writer.bytes)) == status)
        }
        let older = #"{"lag":{"jobs":0,"events":0,"microseconds":0},"stuck_job_count":0}"#
        #expect(try LedgerStatus(JSONReader.read(Array(older.utf8))).database == nil)
    }
}
