import Ledger
import Testing

@testable import LedgerHTTP

@Suite("Stalls and silence on pages")
struct SilenceTests {
    private static let now = Timestamp(microseconds: 1_000_000_000)

    @Test("a time is shown only if the server has found a stall or a silence")
    func times() {
        let since = Timestamp(microseconds: Self.now.microseconds - 720_000_000)
        let shown = PageParts.silence("stalled for", since: since, now: Self.now).text
        #expect(shown.contains(">stalled for 12\u{202F}min<") && !shown.contains("hidden"), "\(shown)")
        let hidden = PageParts.silence("stalled for", since: nil, now: Self.now).text
        #expect(hidden.contains("data-since=\"\"") && hidden.contains(" hidden>"), "\(hidden)")
    }

    @Test("the scripts have no limits of their own")
    func scripts() throws {
        for file in ["silence.js", "indicators.js"] {
            let script = try #require(PageFile.all[file]?.text, "no file \(file)")
            #expect(!script.contains("silentAfter"))
        }
    }

    @Test("silent executions are counted in words")
    func words() {
        #expect(
            ["1", "12", "512+"].map { StallsSection.silentWords($0) } == [
                "1 execution is silent", "12 executions are silent", "512+ executions are silent",
            ])
    }
}
