import Ledger
import LedgerTestSupport
import Testing

@testable import LedgerCommands

@Suite("The status of a ledger as text")
struct StatusTextTests {
    private static func status(fsync: Bool = true, fullPageWrites: Bool = true, commit: String = "on") -> LedgerStatus {
        var status = LedgerStatus(
            lag: LedgerStatus.Lag(jobs: 0, events: 0, seconds: 0), workers: [], stuckJobs: [], stuckJobCount: 0,
            blocked: [], replay: nil)
        status.database = LedgerStatus.Database(
            version: "15.1", synchronousCommit: commit, synchronousStandbyNames: "", synchronousStandbys: 0,
            fsync: fsync, fullPageWrites: fullPageWrites)
        return status
    }

    @Test("settings with which a crash loses events need attention, also those of one shard")
    func crash() {
        #expect(StatusText.problems(Self.status()).isEmpty)
        let unsafe = [
            Self.status(fsync: false), Self.status(fullPageWrites: false), Self.status(commit: "off"),
        ]
        for status in unsafe { #expect(StatusText.problems(status) == [StatusText.crashLosesEvents], "\(status)") }
        var shards = Self.status()
        shards.durabilityRemarks = ["shard 1: fsync is off"]
        #expect(StatusText.problems(shards) == [StatusText.crashLosesEvents])
    }
}
