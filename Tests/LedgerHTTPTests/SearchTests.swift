import Foundation
import Ledger
import LedgerStore
import LedgerTestSupport
import LedgerWire
import Testing

@testable import LedgerHTTP

/// Rules with two implementations, which must agree.
@Suite("Rules with two implementations")
struct SearchTests {
    private static let names = [
        "ÉTUDE one", "étude two", "caf\u{E9}", "cafe\u{301}", "ПРОЕКТ", "a.b*c(d)[e]^f$g\\h|i", "\u{212A}elvin",
        "STRASSE", "stra\u{DF}e", "\u{1E9E}", "line\nbreak", "_ % ~ # & -", "x{2}", "plain",
    ]
    private static let parts = [
        "étude", "ÉTUDE", "CAF\u{C9}", "cafe\u{301}", "проект", "B*C(", "[E]", "^F$G\\H|", "KELVIN", "kelvin",
        "straSSe",
        "\u{DF}", "k\nB", "_ %", "~ # &", "X{2}", "", "l", "nothing", "\\", ".", String(repeating: "x", count: 300),
    ]

    @Test("a list and a watched list find the same jobs for any text")
    func search() async throws {
        try await withPostgresServer { client, ledger in
            var ids: [String: String] = [:]
            for name in Self.names {
                var writer = JSONWriter()
                writer.object { $0.field("name", name) }
                let created = try await client.post("/v1/jobs", String(decoding: writer.bytes, as: UTF8.self))
                ids[try #require(try created.json["job"]?.text)] = name
            }
            for part in Self.parts {
                let query = part.utf8.map { "%" + ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
                let listed = try await client.get("/v1/jobs?search=\(query)").json["jobs"]?.elements ?? []
                let found = Set(listed.compactMap { $0["job"]?.text }.compactMap { ids[$0] }.map { Name($0) })
                #expect(found == Set(Self.names.map { Name($0) }.filter { $0.contains(Name(part)) }), "\(part)")
                let filter = JobFilter(search: Name(part))
                for view in try await ledger.jobs(JobFilter(), limit: 100, after: nil) {
                    #expect(
                        filter.matches(EncodedSnapshot(view, readSince: .now)) == found.contains(view.description.name),
                        "\(part)")
                }
            }
            #expect(Name("ÉTUDE one").contains("étude"))
        }
    }

    @Test("the script of the pages hides the same scalars as the server")
    func hiddenScalars() async throws {
        let script = try await withServer { client, _ in
            String(decoding: try await client.get("/pages/invisible.js").body, as: UTF8.self)
        }
        let start = try #require(script.range(of: "export const invisible = /["))
        let end = try #require(script.range(of: "]/gu;", range: start.upperBound..<script.endIndex))
        var ranges: [ClosedRange<UInt32>] = []
        var rest = script[start.upperBound..<end.lowerBound]
        func scalar() throws -> UInt32 {
            let match = try #require(rest.prefixMatch(of: /\\u(?:\{([0-9a-fA-F]+)\}|([0-9a-f]{4}))/))
            rest = rest[match.range.upperBound...]
            return try #require(UInt32(match.1 ?? match.2 ?? "", radix: 16))
        }
        while !rest.isEmpty {
            let first = try scalar()
            if rest.first == "-" {
                rest = rest.dropFirst()
                ranges.append(first...(try scalar()))
            } else {
                ranges.append(first...first)
            }
        }
        for value in UInt32(0)...0x10FFFF {
            guard let scalar = Unicode.Scalar(value) else { continue }
            let isHidden = ranges.contains { $0.contains(value) }
            if HiddenScalars.contains(scalar) != isHidden { Issue.record("U+\(String(value, radix: 16))") }
        }
    }

    @Test("a label that the job names only later is explained with zeros; an unknown one is 404")
    func labelsNamedLater() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            for label in ["first", "second"] {
                let event = #"{"type":"progress","task":"t","label":"\#(label)","done":1}"#
                #expect(try await client.post("/v1/jobs/\(job)/events?wait=folded", event).status == 201)
            }
            for query in [
                "label=second&at_sequence=2", "label=second&at_sequence=0", "label=second&at_sequence=2&policy=all",
            ] {
                let early = try await client.get("/v1/jobs/\(job)/explain?\(query)")
                #expect(early.status == 200, "\(query)")
                #expect(try early.json["conservation"]?["received"]?["done"] == .integer(0), "\(query)")
                #expect(try early.json["tasks"]?.elements?.isEmpty == true, "\(query)")
            }
            #expect(
                try await client.get("/v1/jobs/\(job)/explain?label=second&at_sequence=3").json["conservation"]?[
                    "received"]?[
                        "done"] == .integer(1))
            for query in ["label=third", "label=third&at_sequence=2", "", "label=third&policy=all"] {
                #expect(try await client.get("/v1/jobs/\(job)/explain?\(query)").status == 404, "\(query)")
            }
        }
    }
}
