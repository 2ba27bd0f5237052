import LedgerTestSupport
import PQ
import Testing

@Suite("Columns in order")
struct RowColumnsTests {
    @Test("columns are read in order, NULLs and skipped ones included")
    func values() async throws {
        try await withPool { pool in
            let row = try await pool.query(
                Query("select 1::int8, null::text, true, 'x'::text, null::int8, array['y']"))[0]
            var columns = row.columns
            #expect(try columns.next(Int64.self) == 1)
            #expect(try columns.nextIfPresent(String.self) == nil)
            columns.skip(1)
            #expect(try columns.next(String.self) == "x")
            #expect(try columns.nextIfPresent(Int64.self) == nil)
            #expect(try columns.next([String].self) == ["y"])
        }
    }

    @Test("an error names the column that was read")
    func errors() async throws {
        try await withPool { pool in
            let row = try await pool.query(Query("select 1::int8 as first, null::int8 as second"))[0]
            var columns = row.columns
            let wrongType = #expect(throws: PQError.self) { try columns.next(String.self) }
            #expect(wrongType?.code == .decoding)
            #expect(wrongType?.message.contains("first") == true)
            let null = #expect(throws: PQError.self) { try columns.next(Int64.self) }
            #expect(null?.message.contains("second") == true)
        }
    }
}
