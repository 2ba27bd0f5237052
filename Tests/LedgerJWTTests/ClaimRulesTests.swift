import Foundation
import Ledger
import LedgerTestSupport
import LedgerWire
import Testing

@testable import LedgerJWT

@Suite("Rules for claims")
struct ClaimRulesTests {
    private static func rules(_ rules: String) throws -> ClaimRules {
        try ClaimRules(Array(#"{"issuer_name":"ci","rules":[\#(rules)]}"#.utf8))
    }

    private static func matches(_ conditions: String, _ claims: String) throws -> Bool {
        try rules(#"{"claims":{\#(conditions)},"scopes":["read"]}"#)
            .permissions(of: try JSONReader.read(Array(claims.utf8))) != nil
    }

    @Test("a pattern matches the whole value of a claim, and * any text")
    func patterns() throws {
        for (pattern, value, matches) in [
            ("abc", "abc", true), ("abc", "abcd", false), ("abc", "xabc", false), ("abc", "ABC", false),
            ("*", "", true),
            ("*", "x", true), ("", "", true), ("", "x", false), ("a*", "a", true), ("a*", "abc", true),
            ("a*", "ba", false), ("*c", "abc", true), ("*c", "abcd", false), ("a*c", "ac", true), ("a*c", "abbc", true),
            ("a*b*c", "a-b-b-c", true), ("a*b*c", "a-c-b", false), ("**", "x", true), ("a?", "ab", false),
            ("repo:acme/*:ref:refs/heads/main", "repo:acme/etl:ref:refs/heads/main", true),
            ("repo:acme/*:ref:refs/heads/main", "repo:acme/etl:ref:refs/heads/mainline", false),
            ("repo:acme/*", "repo:acme-evil/x", false), ("ä*", "äö", true),
        ] {
            let result = try Self.matches(#""/sub":"\#(pattern)""#, #"{"sub":"\#(value)"}"#)
            #expect(result == matches, "\(pattern) \(value)")
        }
        // A pattern with many stars costs no more than the product of the lengths.
        let stars = String(repeating: "a*", count: 500) + "b"
        #expect(!(try Self.matches(#""/sub":"\#(stars)""#, #"{"sub":"\#(String(repeating: "a", count: 5_000))"}"#)))
    }

    @Test("claims are found by JSON pointers, and one of several values suffices")
    func claims() throws {
        let claims =
            #"{"a/b":{"c~d":"x"},"kubernetes.io":{"namespace":"etl"},"groups":["a","b"],"n":5,"t":true,"o":{}}"#
        for (conditions, matches) in [
            (#""/a~1b/c~0d":"x""#, true), (#""/kubernetes.io/namespace":"etl""#, true), (#""/groups":"b""#, true),
            (#""/groups":"c""#, false), (#""/n":"5""#, true), (#""/t":"true""#, true), (#""/o":"*""#, false),
            (#""/missing":"*""#, false), (#""/groups/0":"a""#, false), (#""/n":"5","/t":"false""#, false),
        ] { #expect(try Self.matches(conditions, claims) == matches, "\(conditions)") }
    }

    @Test("the first matching rule counts, also if a tag of it cannot be made")
    func order() throws {
        let rules = try Self.rules(
            #"""
            {"claims":{"/sub":"a"},"scopes":["report"],"tags":{"x":"1"},"tag_claims":{"team":"/team"}},
            {"claims":{"/sub":"*"},"scopes":["read"]}
            """#)
        let full = try #require(rules.permissions(of: try JSONReader.read(Array(#"{"sub":"a","team":"t"}"#.utf8))))
        #expect(full.scopes == [.report] && full.confinement.tags == ["x": "1", "team": "t"])
        let other = try #require(rules.permissions(of: try JSONReader.read(Array(#"{"sub":"b"}"#.utf8))))
        #expect(other.scopes == [.read])
        // The second rule confines less, so it does not replace the first one.
        let long = String(repeating: "x", count: 1_000)
        for claims in [#"{"sub":"a"}"#, #"{"sub":"a","team":"\#(long)"}"#, #"{"sub":"a","team":["t"]}"#] {
            #expect(rules.permissions(of: try JSONReader.read(Array(claims.utf8))) == nil, "\(claims)")
        }
    }

    @Test("every fault of the file is named with its place")
    func faults() throws {
        for (text, pointer) in [
            ("[]", ""), ("{}", "/issuer_name"), (#"{"issuer_name":"a:b","rules":[]}"#, "/issuer_name"),
            (#"{"issuer_name":"","rules":[]}"#, "/issuer_name"), (#"{"issuer_name":"a"}"#, "/rules"),
            (#"{"issuer_name":"a","rules":[]}"#, "/rules"), (#"{"issuer_name":"a","rules":[1]}"#, "/rules/0"),
            (#"{"issuer_name":"a","rules":[{"scopes":["read"]}]}"#, "/rules/0/claims"),
            (#"{"issuer_name":"a","rules":[{"claims":{},"scopes":["read"]}]}"#, "/rules/0/claims"),
            (#"{"issuer_name":"a","rules":[{"claims":{"sub":"x"},"scopes":["read"]}]}"#, "/rules/0/claims/sub"),
            (#"{"issuer_name":"a","rules":[{"claims":{"/a~2":"x"},"scopes":["read"]}]}"#, "/rules/0/claims/~1a~02"),
            (#"{"issuer_name":"a","rules":[{"claims":{"/s":"x"},"scopes":[]}]}"#, "/rules/0/scopes"),
            (#"{"issuer_name":"a","rules":[{"claims":{"/s":"x"},"scopes":["write"]}]}"#, "/rules/0/scopes/0"),
            (#"{"issuer_name":"a","rules":[{"claims":{"/s":"x"},"scopes":["read"],"tag":{}}]}"#, "/rules/0/tag"),
            (
                #"{"issuer_name":"a","rules":[{"claims":{"/s":"x"},"scopes":["read"],"tags":{"":"x"}}]}"#,
                "/rules/0/tags/"
            ),
            (
                #"{"issuer_name":"a","rules":[{"claims":{"/s":"x"},"scopes":["read"],"tag_claims":{"t":"x"}}]}"#,
                "/rules/0/tag_claims/t"
            ),
            (
                #"{"issuer_name":"a","rules":[{"claims":{"/s":"x"},"scopes":["read"],"tags":{"t":"y"},"tag_claims":{"t":"/x"}}]}"#,
                "/rules/0/tag_claims/t"
            ),
            (#"{"issuer_name":"a","issuer_name":"a","rules":[]}"#, "/issuer_name"),
        ] {
            let error = #expect(throws: RequestError.self, "\(text)") { try ClaimRules(Array(text.utf8)) }
            guard case .invalid(let errors)? = error else { Issue.record("\(text)"); continue }
            #expect(errors.contains { $0.location == pointer }, "\(text): \(errors)")
        }
        #expect(throws: RequestError.self) { try ClaimRules(Array("{".utf8)) }
    }

    @Test("the example for Kubernetes gives access to the service account of its job, and to no other")
    func kubernetesExample() throws {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../Scripts/kubernetes")
        let manifest = try String(contentsOf: folder.appending(path: "5-server.yaml"), encoding: .utf8)
        let text = try #require(manifest.firstMatch(of: /rules\.json: \|\n(( {4}.*\n)+)/))
        let rules = try ClaimRules(Array(text.1.utf8))
        for (account, isAccepted) in [("nightly-import", true), ("default", false)] {
            let claims = """
                {"sub":"system:serviceaccount:imports:\(account)","kubernetes.io":{"namespace":"imports",\
                "serviceaccount":{"name":"\(account)","uid":"f3"}}}
                """
            let permissions = rules.permissions(of: try JSONReader.read(Array(claims.utf8)))
            #expect((permissions?.scopes == [.report, .read]) == isAccepted)
            #expect((permissions?.confinement == Confinement(tags: ["team": "imports"])) == isAccepted)
        }
    }
}
