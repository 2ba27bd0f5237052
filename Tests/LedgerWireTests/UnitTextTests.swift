import Ledger
import LedgerTestSupport
import LedgerWire
import Testing

@Suite("Amounts for people", .ownThread)
struct UnitTextTests {
    @Test(
        "bytes are scaled by 1,024 and rounded down",
        arguments: [
            (Int128(0), "0 B"), (1_023, "1023 B"), (1_024, "1.0 KiB"), (1_536, "1.5 KiB"), (1_048_575, "1023.9 KiB"),
            (1_048_576, "1.0 MiB"), (10_737_418_239, "9.9 GiB"), (-2_048, "-2.0 KiB"),
            (Int128(1) << 80, "1.0 YiB"), (Int128(1) << 115, "34359738368.0 YiB"),
        ])
    func bytes(value: Int128, text: String) {
        #expect(UnitText.bytes(value) == text)
    }

    @Test("other units are not scaled, and follow their numbers")
    func others() {
        let units = Units(total: 4_096, done: 1_536)
        #expect(UnitText.progress(units, of: "bytes") == "1.5 KiB/4.0 KiB")
        #expect(UnitText.progress(units, of: "tiles") == "1536/4096 tiles")
        #expect(UnitText.progress(units, of: nil) == "1536/4096")
    }

    @Test("the first line of a message shows that there are more")
    func firstLine() {
        #expect(Name("a").firstLine == "a" && Name("a\nb").firstLine == "a …" && Name("\r\nb").firstLine == "\r …")
    }
}
