import Ledger
import LedgerTestSupport
import Testing

@Suite("Searching in names", .ownThread)
struct NameSearchTests {
    @Test(
        "a search ignores the case of letters and is otherwise exact",
        arguments: [
            ("ÉTUDE one", "étude", true), ("étude one", "ÉTUDE", true), ("caf\u{E9}", "cafe\u{301}", false),
            ("cafe\u{301}", "caf\u{E9}", false), ("cafe\u{301}", "CAFE", true), ("ПРОЕКТ", "проект", true),
            ("ΣΊΣΥΦΟΣ", "σίσυφο", true), ("\u{212A}elvin", "KELVIN", true), ("straße", "STRASSE", false),
            ("\u{1E9E}", "ß", true), ("job-1.5 (x)", "1.5 (", true), ("job", "", true), ("", "", true),
            ("", "a", false),
            ("a", "ab", false), ("aab", "ab", true), ("\u{1F680} up", "\u{1F680} U", true),
        ])
    func search(name: Name, part: Name, isFound: Bool) {
        #expect(name.contains(part) == isFound)
    }
}
