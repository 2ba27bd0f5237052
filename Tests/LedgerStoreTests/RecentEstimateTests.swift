import Ledger
import Testing

@testable import LedgerStore

@Suite("Estimates that serve further reads")
struct RecentEstimateTests {
    private static let start = Timestamp(microseconds: 1_800_000_000_000_000)

    private static func job(
        _ sequence: EventSequence, total: Int128 = 100, done: Int128 = 0, labels: [Name?] = [nil],
        state: JobState = .running
    ) -> JobView {
        let indicators = labels.map { label in
            Snapshot.Indicator(
                label: label, counted: Units(total: total, done: done), attempted: Units(total: total, done: done),
                updatedAt: start)
        }
        let snapshot = Snapshot(
            sequence: sequence, state: state, createdAt: start, startedAt: start, updatedAt: start, finishedAt: nil,
            tasks: TaskCounts(), indicators: indicators)
        return JobView(
            id: JobID(high: 1, low: 2), description: JobDescription(name: "n"), createdAt: start,
            ledgerSequence: sequence, snapshot: snapshot)
    }

    private static func outlook(
        _ remaining: Estimate.Remaining? = Estimate.Remaining(p10: 1, p50: 2, p90: 3),
        _ stalls: JobStalls? = JobStalls.none
    ) -> SnapshotReader.Outlook {
        let estimate = Estimate(remaining: remaining, basis: .job, waitingFor: nil, reason: nil)
        return SnapshotReader.Outlook(estimate: JobEstimate(estimate, at: start), stalls: stalls)
    }

    /// Whether an outlook of a job with 100 units left serves a read of it.
    private static func serves(
        _ job: JobView, _ outlook: SnapshotReader.Outlook = outlook(), after microseconds: Int64 = 999_999
    ) -> Bool {
        let recent = RecentEstimates()
        recent.insert(outlook, of: Self.job(5))
        return recent.outlook(of: job, at: Timestamp(microseconds: start.microseconds + microseconds)) != nil
    }

    @Test("an estimate serves its job for a second, however often the job reports")
    func oneSecond() {
        #expect(Self.serves(Self.job(5)))
        #expect(Self.serves(Self.job(9), after: 0))
        #expect(Self.serves(Self.job(9, total: 150, done: 50)))
        #expect(!Self.serves(Self.job(5), after: 1_000_000))
        #expect(!Self.serves(Self.job(5), after: -1))
    }

    @Test("a job with half as many units more or less, or a new label, gets a new estimate")
    func changed() {
        #expect(Self.serves(Self.job(9, done: 50)) && !Self.serves(Self.job(9, done: 51)))
        #expect(Self.serves(Self.job(9, total: 150)) && !Self.serves(Self.job(9, total: 151)))
        #expect(!Self.serves(Self.job(9, done: 100)))
        #expect(!Self.serves(Self.job(9, total: 50, labels: [nil, "b"])))
        #expect(!Self.serves(Self.job(9, state: .completed)))
    }

    @Test("what the next event may end or make possible serves no other snapshot")
    func unstable() {
        let stalled = Self.outlook(Estimate.Remaining(p10: 1, p50: 2, p90: 3), JobStalls(since: Self.start))
        #expect(Self.serves(Self.job(5), stalled) && !Self.serves(Self.job(6), stalled))
        let unbuilt = Self.outlook(Estimate.Remaining(p10: 1, p50: 2, p90: 3), nil)
        #expect(Self.serves(Self.job(5), unbuilt) && !Self.serves(Self.job(6), unbuilt))
        #expect(!Self.serves(Self.job(5), Self.outlook(nil)))
    }
}
