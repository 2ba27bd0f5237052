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
}
