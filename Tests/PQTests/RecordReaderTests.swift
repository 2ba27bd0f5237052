import LedgerTestSupport
import PQ
import Testing

@Suite("Records")
struct RecordReaderTests {
    @Test("records are read as they were sent, with NULLs, and a NULL record is skipped")
    func values() async throws {
        try await withPool { pool in
            let rows = try await pool.query(
                Query(
                    """
                    select n, case when n % 5 > 0 then row(
                        n::smallint, -n::integer, n * 1000000000000, timestamptz 'epoch' + n * interval '1 second',
                        n::numeric, case when n % 3 > 0 then repeat('é', n % 40) end, null::bigint,
                        '00000000-0000-0001-0000-000000000002'::uuid, '\\x01ff'::bytea
                    ) end
                    from generate_series(1, 3000) as n
                    """))
            var reader = RecordReader()
            var seen: [Int] = []
            for row in rows {
                let n = try row.decode(0, as: Int.self)
                try reader.read(row, 1) { record throws(PQError) in
                    seen.append(n)
                    #expect(try record.int2() == Int16(n))
                    #expect(try record.int4() == Int32(-n))
                    #expect(try record.int8() == Int64(n) * 1_000_000_000_000)
                    #expect(try record.timestamp()?.microsecondsSince1970 == Int64(n) * 1_000_000)
                    #expect(try record.numeric() == Int128(n))
                    #expect(try record.text() == (n % 3 > 0 ? String(repeating: "é", count: n % 40) : nil))
                    #expect(try record.int8() == nil)
                    #expect(try record.uuid() == UUIDBytes(high: 1, low: 2))
                    #expect(try record.bytes() == [1, 255])
                }
            }
            #expect(seen == (1...3_000).filter { $0 % 5 > 0 })
        }
    }

    @Test("a record that is read as what it is not is refused")
    func refusals() async throws {
        try await withPool { pool in
            let row = try await pool.query(Query("select row(1::int8, 'text'::text), 1::int8"))[0]
            func refusal(_ body: (inout BinaryRow) throws(PQError) -> Void) -> PQError? {
                var reader = RecordReader()
                return #expect(throws: PQError.self) { try reader.read(row, 0, body) }
            }
            // As wide, but a time.
            #expect(refusal { record throws(PQError) in _ = try record.timestamp() }?.message.contains("20") == true)
            #expect(refusal { record throws(PQError) in _ = try record.int4() }?.code == .decoding)
            #expect(refusal { record throws(PQError) in _ = try record.text() }?.code == .decoding)
            #expect(refusal { record throws(PQError) in _ = try record.int8() }?.message.contains("to its end") == true)
            #expect(
                refusal { record throws(PQError) in
                    _ = try record.int8()
                    _ = try record.text()
                    _ = try record.int8()
                }?.message.contains("fewer columns") == true)
            var reader = RecordReader()
            let other = #expect(throws: PQError.self) {
                try reader.read(row, 1) { record throws(PQError) in _ = try record.int8() }
            }
            #expect(other?.message.contains("not a record") == true)
        }
    }
}
