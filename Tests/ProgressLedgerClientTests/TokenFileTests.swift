import Foundation
import LedgerTestSupport
import Testing

@testable import ProgressLedgerClient

@Suite("Token files")
struct TokenFileTests {
    @Test("a token file is read again when it changes; the last token stays while it is unreadable")
    func changes() throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "token-\(UUID().uuidString)").path()
        defer { TestFiles.remove(path) }
        let file = TokenFile(path)
        #expect(file.token == nil)
        for (content, token) in [
            ("pl_first\n", "pl_first"), ("pl_second", "pl_second"), ("", "pl_second"), ("  \n", "pl_second"),
            ("pl_third\r\nmore\n", "pl_third"), ("pl_\u{E9}", "pl_third"),
            (String(repeating: "x", count: 70_000), "pl_third"), ("a", "a"), ("b", "b"),
        ] {
            try Data(content.utf8).write(to: URL(filePath: path), options: .atomic)
            #expect(file.token == token, "\(content.prefix(20))")
        }
        try FileManager.default.removeItem(atPath: path)
        #expect(file.token == "b")
    }
}
