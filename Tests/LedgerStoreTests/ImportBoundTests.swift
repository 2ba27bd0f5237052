import Ledger
import LedgerChain
import LedgerStore
import LedgerTestSupport
import PQ
import Testing

@Suite("Limits of imports")
struct ImportBoundTests {
    /// A ledger with one event, created at this time.
    private func excerpt(_ moment: String, _ pool: Pool) async throws -> LedgerExcerpt {
        let rows = try await pool.query(
            Query("select extract(epoch from $1::text::timestamptz)::bigint * 1000000", [.text(moment)]))
        let createdAt = Timestamp(microseconds: try rows[0].decode(0))
        let job = JobID(createdAt: createdAt, randomHigh: .random(in: 0 ... .max), randomLow: .random(in: 0 ... .max))
        let event = EventDraft(.jobCreated(JobDescription(name: "n"))).recorded(sequence: 1, at: createdAt)
        var chain = HashChain(job: job)
        let hash = chain.append(event)
        return LedgerExcerpt(
            job: job, head: ChainPosition(sequence: 1, hash: hash),
            events: [RecordedEvent(event: event, hash: hash)])
    }

    @Test("imports can create a limited number of partitions; the error names the remedy")
    func partitions() async throws {
        try await withLedger(projection: nil) { ledger in
            var taken = 0
            var refusal: StoreError?
            for month in 0..<30 where refusal == nil {
                let one = try await excerpt("\(2020 + month / 12)-\(month % 12 + 1)-15T00:00:00Z", ledger.pool)
                do throws(StoreError) {
                    _ = try await ledger.importExcerpt(one)
                    taken += 1
                } catch { refusal = error }
            }
            #expect(taken == 24)
            #expect(refusal?.code == .invalid)
            #expect(refusal?.message.contains("24 partitions") == true)
            #expect(refusal?.message.contains("select ledger.make_event_partition") == true)
            // Months with a partition, and the present month, remain possible.
            _ = try await ledger.importExcerpt(try await excerpt("2020-01-20T00:00:00Z", ledger.pool))
            _ = try await ledger.createJob(JobDescription(name: "now"))
        }
    }

    @Test("a job with an id from before 2020 or from the future is refused", arguments: ["2019-12-31", "2035-01-01"])
    func absurdMonths(_ day: String) async throws {
        try await withLedger(projection: nil) { ledger in
            let one = try await excerpt("\(day)T12:00:00Z", ledger.pool)
            let error = await #expect(throws: StoreError.self) { _ = try await ledger.importExcerpt(one) }
            #expect(error?.code == .invalid)
            let rows = try await ledger.pool.query(Query("select count(*) from ledger.import_partition"))
            #expect(try rows[0].decode(0, as: Int.self) == 0)
        }
    }

    @Test("the owner may create a partition for any month")
    func owner() async throws {
        try await withLedgerDatabase { target in
            let pool = Pool(target: target, logger: TestCluster.logger)
            for year in 2000..<2030 {
                _ = try await pool.query(
                    Query("select ledger.make_event_partition($1::text::timestamptz)", [.text("\(year)-06-01")]))
            }
            let made = try await pool.query(
                Query(
                    """
                    select count(*) from generate_series(2000, 2029) as year
                    where to_regclass(format('ledger.event_%s_06', year)) is not null
                    """))
            #expect(try made[0].decode(0, as: Int.self) == 30)
            await pool.close()
        }
    }
}
