import Ledger
import Testing

@testable import LedgerHTTP

@Suite("The axes of charts")
struct ChartAxisTests {
    @Test("values are round and at most five steps")
    func values() {
        for (top, expected) in [
            (1, [0, 1]), (5, [0, 1, 2, 3, 4, 5]), (6, [0, 2, 4, 6]), (99, [0, 20, 40, 60, 80]),
            (100, [0, 20, 40, 60, 80, 100]),
            (101, [0, 50, 100]), (1_234, [0, 500, 1_000]),
        ] as [(Int128, [Int128])] {
            #expect(ChartAxis.values(to: top, unit: nil) == expected, "\(top)")
        }
        #expect(ChartAxis.values(to: 5_000, unit: "bytes") == [0, 1_024, 2_048, 3_072, 4_096])
        for exponent in 0..<120 {
            let count = ChartAxis.values(to: 1 << Int128(exponent), unit: nil).count
            #expect((2...6).contains(count), "2^\(exponent) has \(count)")
        }
    }

    @Test("values have the prefixes of powers of 1,000, and bytes those of powers of 1,024")
    func texts() {
        for (value, expected) in [
            (0, "0"), (500, "500"), (2_000, "2\u{202F}000"), (15_000, "15\u{202F}k"), (1_500_000, "1.5\u{202F}M"),
            (200_000_000_000, "200\u{202F}G"),
        ] as [(Int128, String)] {
            #expect(ChartAxis.text(value, unit: "tiles") == expected)
        }
        #expect(ChartAxis.text(2_048, unit: "bytes") == "2.0 KiB")
    }

    private static func times(_ start: Int64, _ end: Int64) -> [String] {
        let second: Int64 = 1_000_000
        return ChartAxis.times(
            from: Timestamp(microseconds: start * second), to: Timestamp(microseconds: end * second)
        ).map(\.text)
    }

    @Test("times are round, and show the day where it changes")
    func times() {
        #expect(Self.times(1, 9) == ["00:00:02", "00:00:04", "00:00:06", "00:00:08"])
        #expect(Self.times(30, 1_000) == ["00:05", "00:10", "00:15"])
        #expect(Self.times(80_000, 100_000) == ["2 Jan", "02:00"])
        #expect(Self.times(0, 864_000) == ["1 Jan", "3 Jan", "5 Jan", "7 Jan", "9 Jan", "11 Jan"])
        for years in [1, 10, 1_000] as [Int64] {
            let count = Self.times(0, years * 365 * 86_400).count
            #expect((2...8).contains(count), "\(years) years have \(count)")
        }
        #expect(Self.times(5, 5) == ["00:00:05"])
    }
}
