import Foundation
import Ledger
import LedgerTestSupport
import LedgerWire
import Testing

@Suite("JSON", .ownThread)
struct JSONTests {
    private func read(_ text: String) throws -> JSONValue { try JSONReader.read(Array(text.utf8)) }

    @Test("integers are exact at any size and in any notation")
    func integers() throws {
        #expect(try read("9007199254740993") == .integer(9_007_199_254_740_993))
        #expect(
            try read("-170141183460469231731687303715884105")
                == .integer(-170_141_183_460_469_231_731_687_303_715_884_105))
        #expect(try read("1e3") == .integer(1_000))
        #expect(try read("1.0") == .integer(1))
        #expect(try read("-0") == .integer(0))
        #expect(try read("1.5") == .number(1.5))
        #expect(try read("1e-1") == .number(0.1))
        #expect(try read("1.0000000000000000000000001") == .number(1))
        #expect(try read("9007199254740993.0") == .integer(9_007_199_254_740_993))
    }

    @Test("strings are exact to the scalar, and a lone surrogate is not text")
    func strings() throws {
        #expect(try read(#""\ud83d\ude00""#) == .string("\u{1F600}"))
        #expect(try read(#""\ud83d""#) == .brokenString)
        #expect(try read(#""\ude00\ud83d""#) == .brokenString)
        #expect(try read(#""\ud83d\u0041""#) == .brokenString)
        let composed = try #require(try read(#""e\u0301""#).text)
        #expect(Array(composed.unicodeScalars) == ["e", "\u{301}"])
        #expect(try read(#""a\/\"\\\b\f\n\r\t""#) == .string("a/\"\\\u{8}\u{C}\n\r\t"))
    }

    @Test(
        "text that is not JSON is refused",
        arguments: [
            "", " ", "{", "[1,]", "{\"a\":1,}", "01", "1.", ".5", "+1", "1e", "nul", "True", "'a'", "\"\u{1}\"",
            "\"\\x\"",
            "\"\\u12\"", "[1 2]", "{\"a\" 1}", "{1:2}", "\u{FEFF}1", "1 1", "[", "\"a", "NaN", "--1", "{\"\\ud800\":1}",
        ])
    func refusals(text: String) {
        #expect(throws: JSONError.self) { try read(text) }
    }

    @Test("bytes that are not UTF-8 are refused")
    func refusesOtherEncodings() {
        for bytes: [UInt8] in [
            [0x22, 0xFF, 0x22], [0x22, 0xC0, 0x80, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22], [0x22, 0xC3, 0x22],
        ] {
            #expect(throws: JSONError.self) { try JSONReader.read(bytes) }
        }
    }

    @Test("an error has its offset in the line, also in a string with escapes")
    func offsets() {
        let line = Array("[1]\n[1,\"ab".utf8) + [0xFF] + Array("\"]".utf8)
        let escaped = Array("[1]\n[1,\"\\n".utf8) + [0xFF] + Array("\"]".utf8)
        for bytes in [line, escaped] {
            var reader = JSONReader(bytes[4...])
            let error = #expect(throws: JSONError.self) { try reader.readValue() }
            #expect(error?.description == "a string is not UTF-8 at byte 4")
        }
    }

    @Test(
        "randomly damaged text is refused if Foundation refuses it", arguments: [UInt64(1), 2, 3, 4])
    func agreesWithFoundation(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let text = Array(
            #"[{"type":"progress","task":"t\u00e9\ud83d\ude00","done":12,"total":1.5e3,"x":[true,false,null,{"a":"b"}]},-7]"#
                .utf8)
        var accepted = 0
        for _ in 0..<3_000 {
            var bytes = text
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                let index = Int.random(in: 0..<bytes.count, using: &generator)
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: bytes[index] = UInt8.random(in: 0...255, using: &generator)
                case 1: bytes.remove(at: index)
                default: bytes.insert(UInt8.random(in: 0x20...0x7E, using: &generator), at: index)
                }
            }
            var isAccepted = true
            do throws(JSONError) { _ = try JSONReader.read(bytes) } catch { isAccepted = false }
            accepted += isAccepted ? 1 : 0
            // Foundation must accept the text too. It is more lenient than the grammar in places.
            if isAccepted, !bytes.contains(where: { $0 == UInt8(ascii: "\\") }) {
                #expect(throws: Never.self) {
                    try JSONSerialization.jsonObject(with: Data(bytes), options: .fragmentsAllowed)
                }
            }
        }
        // The damage is neither always fatal nor always harmless.
        #expect((1..<3_000).contains(accepted))
    }

    @Test("written values are read back exactly")
    func roundTrip() throws {
        for text in [
            "", "\u{0}\u{1F}\u{7F}", "\"\\/", "e\u{301}\u{E9}", "\u{1F469}\u{200D}\u{1F680}", "\u{2028}<script>",
        ] {
            var writer = JSONWriter()
            writer.object { writer in
                writer.field(text, text)
                writer.field("n", Int128(1) << 116)
                writer.field("nothing", nil as Int64?)
            }
            let value = try JSONReader.read(writer.bytes)
            guard case .object(let fields) = value else {
                Issue.record("not an object")
                return
            }
            #expect(fields.map { Name($0.name) } == [Name(text), "n", "nothing"])
            #expect(fields[0].value.text.map { Name($0) } == Name(text))
            #expect(fields[1].value == .integer(Int128(1) << 116))
            #expect(fields[2].value == .null)
        }
    }

    @Test(
        "64-bit integers are written as their digits", arguments: [0, 7, -1, 10, 1_234_567_890, .max, .min] as [Int64])
    func integers(value: Int64) {
        var writer = JSONWriter()
        writer.array([value, value]) { $0.integer($1) }
        #expect(String(decoding: writer.bytes, as: UTF8.self) == "[\(value),\(value)]")
    }

    @Test("times are read with any offset and written in UTC with microseconds")
    func moments() {
        let pairs: [(String, String)] = [
            ("2026-11-23T17:30:00Z", "2026-11-23T17:30:00.000000Z"),
            ("2026-11-23T18:30:00.5+01:00", "2026-11-23T17:30:00.500000Z"),
            ("2026-11-23t17:30:00.123456789z", "2026-11-23T17:30:00.123456Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
            ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
            ("2024-02-29T00:00:00-12:30", "2024-02-29T12:30:00.000000Z"),
            ("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"),
            ("2000-03-01T00:00:00Z", "2000-03-01T00:00:00.000000Z"),
        ]
        for (given, shown) in pairs { #expect(RFC3339.timestamp(given).map(RFC3339.text) == shown) }
        for bad in [
            "", "2026", "2026-11-23", "2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z", "2026-11-23T24:00:00Z",
            "2026-11-23T23:59:60Z",
            "2026-11-23T17:30:00", "2026-11-23T17:30:00.Z", "2026-11-23T17:30:00+25:00", "2026-11-23T17:30:00Zx",
            "x026-11-23T17:30:00Z",
        ] { #expect(RFC3339.timestamp(bad) == nil, "\(bad)") }
    }

    @Test("setting the server's clock in an encoded response changes nothing else")
    func setNow() throws {
        func bytes(_ now: Timestamp?) -> [UInt8] {
            let snapshot = Snapshot(
                sequence: 1, state: .running, createdAt: nil, startedAt: nil, updatedAt: nil, finishedAt: nil,
                tasks: TaskCounts(), indicators: [])
            var writer = JSONWriter()
            JobView(
                id: JobID(high: 1, low: 2), description: JobDescription(name: "n"),
                createdAt: Timestamp(microseconds: 0), ledgerSequence: 1, snapshot: snapshot, now: now
            ).write(to: &writer)
            return writer.bytes
        }
        let moments: [Int64] = [0, 1, 951_782_399_999_999, 1_800_000_000_123_456, 253_402_300_799_999_999]
        for moment in moments.map({ Timestamp(microseconds: $0) }) {
            var patched = bytes(Timestamp(microseconds: 1_234_567_890_000_000))
            JobView.setNow(moment, in: &patched)
            #expect(patched == bytes(moment))
            var prefixed = Array("data: ".utf8) + bytes(Timestamp(microseconds: 0))
            JobView.setNow(moment, in: &prefixed, from: 6)
            #expect(prefixed == Array("data: ".utf8) + bytes(moment))
        }
        var without = bytes(nil)
        JobView.setNow(Timestamp(microseconds: 5), in: &without)
        #expect(without == bytes(nil))
    }
}
