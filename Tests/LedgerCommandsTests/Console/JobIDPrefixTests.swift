import Ledger
import Testing

@testable import LedgerCommands

@Suite("Beginnings of job ids")
struct JobIDPrefixTests {
    private static let moment = Timestamp(microseconds: 1_796_000_000_000_000)

    private static func job(after milliseconds: Int64, random: UInt64 = 0) -> JobID {
        JobID(
            createdAt: Timestamp(microseconds: moment.microseconds + milliseconds * 1_000), randomHigh: random,
            randomLow: 1)
    }

    @Test(
        "up to 32 digits are a beginning, with the hyphens of an id or without any",
        arguments: [
            ("0190b5a1", "0190b5a1"), ("0190B5A1-7c1e-7a3b-9d2f-4c5e6f708192", "0190b5a17c1e7a3b9d2f4c5e6f708192"),
            ("0190b5a1-", "0190b5a1"), ("0190b5a17c1e7", "0190b5a17c1e7"), ("0", "0"), ("", nil), ("-", nil),
            ("last", nil), ("0190b5a1-7c1e7", nil), ("0190b5a17c-1e", nil), ("0190b5a1 ", nil), ("０190", nil),
            ("0190b5a1-7c1e-7a3b-9d2f-4c5e6f7081920", nil), ("nightly", nil),
        ] as [(String, String?)])
    func parsing(text: String, digits: String?) {
        #expect(JobIDPrefix(text)?.digits == digits)
    }

    @Test("the cursor is the lowest id above all that begin so")
    func cursors() throws {
        let job = try #require(JobID("0190b5a1-7c1e-7a3b-9d2f-4c5e6f708192"))
        for count in 1...32 {
            let digits = String(job.description.filter { $0 != "-" }.prefix(count))
            let prefix = try #require(JobIDPrefix(digits))
            let cursor = try #require(prefix.cursor)
            #expect(prefix.matches(job) && job < cursor && !prefix.matches(cursor), "\(digits)")
            let below =
                cursor.low == 0
                ? JobID(high: cursor.high - 1, low: .max) : JobID(high: cursor.high, low: cursor.low - 1)
            #expect(prefix.matches(below), "\(digits)")
        }
        #expect(JobIDPrefix("ffff")?.cursor == nil)
    }

    @Test("ids are shown as long as they must be to differ, and at least with 8 characters")
    func lengths() {
        #expect(JobIDPrefix.shownLength(of: []) == 8)
        #expect(JobIDPrefix.shownLength(of: [Self.job(after: 0)]) == 8)
        // The same job twice does not need more.
        #expect(JobIDPrefix.shownLength(of: [Self.job(after: 0), Self.job(after: 0)]) == 8)
        #expect(JobIDPrefix.shownLength(of: [Self.job(after: 0), Self.job(after: 70_000)]) == 8)
        for (jobs, least) in [
            ([Self.job(after: 0), Self.job(after: 1), Self.job(after: 5_000)], 9),
            ([Self.job(after: 0), Self.job(after: 0, random: 0xABC), Self.job(after: 9_000)], 16),
        ] {
            let length = JobIDPrefix.shownLength(of: jobs)
            let shown = jobs.map { String($0.description.prefix(length)) }
            #expect(length >= least && Set(shown).count == jobs.count, "\(shown)")
            #expect(Set(jobs.map { $0.description.prefix(length - 1) }).count < jobs.count, "\(shown)")
            for (text, job) in zip(shown, jobs) {
                #expect(jobs.filter { JobIDPrefix(text)?.matches($0) ?? false } == [job])
            }
        }
    }
}
