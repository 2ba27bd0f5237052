import Ledger
import Testing

@Suite("Counts of jobs by name")
struct JobCountsTests {
    @Test("names with trouble come first, and all beyond the limit are one sum")
    func limit() {
        let limit = JobCountsByName.namesMax
        var counts: [Name: JobCounts] = [:]
        for number in 0..<limit { counts[Name("busy \(number)")] = JobCounts(running: Int64(1_000 + number)) }
        counts["late"] = JobCounts(running: 1, late: 1)
        counts["failed"] = JobCounts(failed: 2)
        counts["stalled"] = JobCounts(running: 1, stalled: 1)
        let byName = JobCountsByName(counts)
        #expect(byName.names.count == limit)
        #expect(byName.names.prefix(4).map(\.name) == ["failed", "late", "stalled", Name("busy \(limit - 1)")])
        #expect(byName.names.last?.name == "busy 3")
        #expect(byName.others == JobCounts(running: 1_000 + 1_001 + 1_002))
        #expect(JobCountsByName([:]).names.isEmpty && JobCountsByName([:]).others == JobCounts())
        let all = JobCountsByName(["a": JobCounts(running: 1), "b": JobCounts(running: 1)])
        #expect(all.names.map(\.name) == ["a", "b"] && all.others == JobCounts())
    }
}
