import Ledger
import Testing

@testable import LedgerHTTP

@Suite("The time without a report")
struct SilenceTests {
    /// The value of a constant of a script, in milliseconds.
    private func constant(_ name: String, of file: String) throws -> Int64 {
        let script = try #require(PageFile.all[file]?.text, "no file \(file)")
        let start = try #require(script.firstRange(of: "const \(name) = ")?.upperBound, "no \(name) in \(file)")
        return try #require(Int64(script[start...].prefix { $0.isNumber || $0 == "_" }.filter { $0 != "_" }))
    }

    @Test("pages, their scripts and the snapshot agree on when a job is silent or stalled")
    func limits() throws {
        #expect(PageText.silentAfter == Snapshot.Indicator.stalledAfter)
        #expect(try constant("silentAfter", of: "silence.js") * 1_000 == PageText.silentAfter)
        #expect(try constant("silentAfter", of: "indicators.js") * 1_000 == Snapshot.Indicator.stalledAfter)
        #expect(try constant("longAfter", of: "silence.js") * 1_000 == PageText.silentForLongAfter)
    }
}
