import Testing

@testable import ProgressLedgerClient

@Suite("The server's URL")
struct ServerAddressTests {
    @Test(
        "host, port and path prefix are read",
        arguments: [
            ("http://127.0.0.1:8080", "127.0.0.1", 8080, "", "127.0.0.1:8080"),
            ("HTTP://ledger.example/", "ledger.example", 80, "", "ledger.example"),
            ("http://[::1]:9000/a/b//", "::1", 9000, "/a/b", "[::1]:9000"),
            ("http://[fe80::1]", "fe80::1", 80, "", "[fe80::1]"),
            ("http://h:1/p%20q", "h", 1, "/p%20q", "h:1"),
            ("https://h", "h", 443, "", "h"), ("HTTPS://h:8443/x/", "h", 8_443, "/x", "h:8443"),
            ("https://h:80", "h", 80, "", "h:80"), ("http://h:443", "h", 443, "", "h:443"),
        ])
    func validURLsAreRead(url: String, host: String, port: Int, prefix: String, header: String) throws {
        let address = try ServerAddress(url)
        #expect(address.host == host)
        #expect(address.port == port)
        #expect(address.pathPrefix == prefix)
        #expect(address.hostHeader == header)
        #expect(try ServerAddress(address.description) == address)
    }

    @Test(
        "an invalid URL is refused with the reason",
        arguments: [
            ("", "no scheme"), ("127.0.0.1:8080", "no scheme"), ("gopher://h", "gopher is not supported"),
            ("ftp://h", "ftp is not supported"), ("http://", "no host"), ("http://:80", "no host"),
            ("http://h:0", "1 to 65535"), ("http://h:65536", "1 to 65535"), ("http://h:", "1 to 65535"),
            ("http://h:+1", "1 to 65535"), ("http://::1", "brackets"), ("http://[::1", "not closed"),
            ("http://[h]", "not an IPv6 address"), ("http://[::1]x", "1 to 65535"), ("http://h?a", "query"),
            ("http://h/#a", "fragment"), ("http://h/a b", "spaces"), ("http://h\u{e9}", "characters"),
            ("http://h\r\nx: y", "spaces"),
        ])
    func invalidURLsAreRefused(url: String, reason: String) {
        let error = #expect(throws: LedgerClientError.self) { try ServerAddress(url) }
        #expect(error?.code == .invalidAddress)
        #expect(error?.message.contains(reason) == true, "\(String(describing: error))")
    }

    @Test("a URL with a password is refused, and the error does not contain it")
    func passwordsAreNotPrinted() {
        let error = #expect(throws: LedgerClientError.self) { try ServerAddress("http://me:secret@h") }
        #expect(error?.description.contains("secret") == false)
        #expect(error?.description.contains("password") == true)
    }
}
