import Ledger
import Testing

@Suite("Receivers of notifications")
struct WebhookTargetTests {
    @Test("an address is read strictly, and written again from its parts")
    func addresses() throws {
        for (text, written) in [
            ("https://example.com", "https://example.com/"),
            ("https://EXAMPLE.com:443/a?b=c", "https://example.com/a?b=c"),
            ("https://example.com?x", "https://example.com/?x"), ("http://localhost:9000/h", "http://localhost:9000/h"),
            ("https://[2001:DB8::1]:8443/", "https://[2001:db8:0:0:0:0:0:1]:8443/"),
        ] {
            #expect(try WebhookAddress(text).text == written)
        }
        #expect(try WebhookAddress("https://example.com/secret/path").masked == "https://example.com/…")
        #expect(try WebhookAddress("https://example.com").masked == "https://example.com/")
    }

    @Test(
        "an address that parsers may understand differently is refused",
        arguments: [
            "", "example.com", "ftp://example.com", "https://", "https:///path", "https://user@example.com/",
            "https://a:b@example.com/", #"https://example.com\@evil.test/"#, "https://example.com/#fragment",
            "https://exa mple.com/", "https://ex%61mple.com/", "https://example.com:0/", "https://example.com:65536/",
            "https://example.com:+80/", "https://example.com:/", "https://[::1/", "https://[::1]x/",
            "https://[1.2.3.4]/",
            "https://é.test/", "https://example.com/\u{0}", "https://example.com/\n", "https://.example.com/",
            "https://example.com:80:80/", "https://" + String(repeating: "a", count: 2_000),
        ])
    func invalid(text: String) {
        #expect(throws: WebhookAddress.Invalid.self) { try WebhookAddress(text) }
    }

    @Test("only the usual texts of addresses are addresses")
    func networkAddresses() {
        for text in [
            "127.1", "0x7f000001", "2130706433", "01.2.3.4", "1.2.3.4.5", "1.2.3.256", "::1::", ":1", "1::2::3",
            "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "12345::", "::g", "fe80::1%eth0", "::+1",
        ] {
            #expect(NetworkAddress(text) == nil, "\(text)")
        }
        #expect(NetworkAddress("::ffff:1.2.3.4")?.description == "0:0:0:0:0:ffff:102:304")
        #expect(NetworkAddress("::")?.bytes == [UInt8](repeating: 0, count: 16))
        #expect(NetworkAddress("1:2:3:4:5:6:7:8") == NetworkAddress("1:2:3:4:5:6:0.7.0.8"))
    }

    @Test("an address is public unless it is reserved, in any form")
    func publicAddresses() throws {
        for text in [
            "0.0.0.0", "10.1.2.3", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.255", "169.254.169.254",
            "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.168.1.1", "198.18.0.1", "198.51.100.1",
            "203.0.113.1", "224.0.0.1", "255.255.255.255", "::", "::1", "::127.0.0.1", "::ffff:10.0.0.1",
            "::ffff:127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::8.8.8.8", "fe80::1", "fc00::1",
            "fd00:ec2::254", "ff02::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "2002:808:808::",
            "3fff::1",
        ] {
            #expect(try #require(NetworkAddress(text)).isPublic == false, "\(text)")
        }
        for text in [
            "8.8.8.8", "100.63.255.255", "100.128.0.0", "172.15.0.1", "172.32.0.1", "192.0.1.1", "223.255.255.255",
            "2606:4700::1111", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8",
        ] {
            #expect(try #require(NetworkAddress(text)).isPublic, "\(text)")
        }
    }

    private func refusal(_ url: String, _ rules: [String] = [], at addresses: [String]) throws -> String? {
        let targets = try WebhookTargets(rules)
        let address = try WebhookAddress(url)
        return try targets.refusal(of: address)
            ?? targets.refusal(
                of: address, at: addresses.map { try #require(NetworkAddress($0)) })
    }

    @Test("without rules, only https is permitted, and all addresses must be public")
    func usual() throws {
        #expect(try refusal("https://example.com/", at: ["8.8.8.8", "2606:4700::1"]) == nil)
        #expect(try refusal("https://8.8.8.8/", at: ["8.8.8.8"]) == nil)
        #expect(try refusal("http://example.com/", at: ["8.8.8.8"]) != nil)
        #expect(try refusal("https://example.com/", at: ["8.8.8.8", "10.0.0.1"]) != nil)
        #expect(try refusal("https://example.com/", at: ["::ffff:127.0.0.1"]) != nil)
        #expect(try refusal("https://127.0.0.1/", at: ["127.0.0.1"]) != nil)
        #expect(WebhookTargets.usual.refusal(of: try WebhookAddress("https://[::1]/")) != nil)
    }

    @Test("rules name hosts with any address, or networks under any name")
    func rules() throws {
        #expect(try refusal("http://hooks.internal/", ["hooks.internal"], at: ["10.0.0.1"]) == nil)
        #expect(try refusal("http://HOOKS.internal:81/", ["Hooks.Internal:81"], at: ["10.0.0.1"]) == nil)
        #expect(try refusal("http://hooks.internal:82/", ["hooks.internal:81"], at: ["10.0.0.1"]) != nil)
        #expect(try refusal("https://sub.hooks.internal/", ["hooks.internal"], at: ["10.0.0.1"]) != nil)
        #expect(try refusal("http://any.test/", ["10.0.0.0/8"], at: ["10.255.0.1"]) == nil)
        #expect(try refusal("http://any.test/", ["10.0.0.0/8"], at: ["::ffff:10.0.0.1"]) == nil)
        #expect(try refusal("http://any.test/", ["10.0.0.0/8"], at: ["10.0.0.1", "11.0.0.1"]) != nil)
        #expect(try refusal("https://any.test/", ["10.0.0.0/8"], at: ["10.0.0.1", "11.0.0.1"]) == nil)
        #expect(try refusal("https://any.test/", ["10.0.0.0/8"], at: ["10.0.0.1", "192.168.0.1"]) != nil)
        #expect(try refusal("http://[fd00::1]:9/", ["fd00::/8"], at: ["fd00::1"]) == nil)
        for (rule, reason) in [
            ("http://x", "neither"), ("x/y", "neither"), ("10.0.0.0/33", "neither"), ("", "host"), ("a b", "RFC 3986"),
            ("10.0.0.0/+8", "neither"), ("x?y", "neither"), ("x:0", "port"), ("u@x", "user"),
        ] {
            let error = #expect(throws: WebhookTargets.InvalidRule.self, "\(rule)") {
                try WebhookTargets(["hooks.internal", rule])
            }
            #expect(error?.rule == rule && error?.reason.contains(reason) == true, "\(rule): \(error?.reason ?? "")")
        }
    }

    @Test("a secret is whsec_ and exact Base64 of 24 to 64 bytes")
    func secrets() throws {
        for length in [24, 25, 26, 64] {
            let key = (0..<length).map { UInt8(truncatingIfNeeded: $0 * 37) }
            #expect(WebhookSecret(WebhookSecret(key: key).text)?.key == key)
        }
        #expect(WebhookSecret.encode(Array("foobar".utf8)) == "Zm9vYmFy" && WebhookSecret.encode([0x66]) == "Zg==")
        for text in [
            "", "whsec_", "whsec_Zm9v", "Zm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFy", "whsec_Zm9vYmFyZm9vYmFyZm9vYmFyZm9vYmF",
            "whsec_Zm9vYmFyZm9vYmFyZm9vYmFyZm9vYm-_", "whsec_" + String(repeating: "A", count: 88),
        ] {
            #expect(WebhookSecret(text) == nil, "\(text)")
        }
        #expect(WebhookSecret.random() != WebhookSecret.random())
    }
}
