import Ledger
import LedgerTestSupport
import LedgerWire
import NIOPosix
import Testing

@testable import LedgerHTTP

@Suite("Compressed responses")
struct GzipTests {
    /// Decompresses with another implementation of gzip.
    private func decompressed(_ bytes: [UInt8]) async throws -> [UInt8] {
        try await Gunzip.run(bytes)
    }

    @Test("long responses are compressed on request, and short ones and streams of events are not")
    func compression() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            let labels = (0..<100).map {
                #"{"type":"progress","task":"t","label":"indicator \#($0)","total":5,"done":1}"#
            }
            // The page of a running job changes with the time.
            let events = labels + [#"{"type":"job_finished","outcome":"completed"}"#]
            let appended = try await client.post(
                "/v1/jobs/\(job)/events?wait=folded", "[\(events.joined(separator: ","))]")
            #expect(appended.status == 201)
            for path in [
                "/v1/jobs/\(job)", "/v1/jobs/\(job)/events", "/v1/jobs", "/jobs/\(job)", "/pages/style.css",
                "/openapi.json", "/v1/jobs/\(job)/export",
            ] {
                let plain = try await client.get(path)
                #expect(plain.headers["content-encoding"] == nil, "\(path)")
                for encodings in ["gzip", "br, gzip;q=0.5", "*"] {
                    let response = try await client.get(path, headers: ["Accept-Encoding": encodings])
                    #expect(response.status == 200 && response.headers["content-encoding"] == "gzip", "\(path)")
                    #expect(response.headers["vary"] == "Accept-Encoding", "\(path)")
                    #expect(response.body.count < plain.body.count / 2, "\(path)")
                    let text = String(decoding: try await decompressed(response.body), as: UTF8.self)
                    // Times and durations differ.
                    let digits = /[0-9.]+/
                    let expected = String(decoding: plain.body, as: UTF8.self).replacing(digits, with: "")
                    #expect(text.replacing(digits, with: "") == expected, "\(path)")
                }
                for encodings in ["identity", "br", "gzip;q=0", "gzip; q=0.0", "gzip;q=0, *"] {
                    let response = try await client.get(path, headers: ["Accept-Encoding": encodings])
                    #expect(response.headers["content-encoding"] == nil, "\(path) \(encodings)")
                }
            }
            let short = try await client.get("/healthz", headers: ["Accept-Encoding": "gzip"])
            #expect(short.headers["content-encoding"] == nil)
            let created = try await client.request(
                "POST", "/v1/jobs", headers: ["Accept-Encoding": "gzip", "Content-Type": "application/json"],
                body: Array("{\"name\":\"\(String(repeating: "x", count: 200))\",\"tags\":{\"a\":\"b\"}}".utf8))
            #expect(created.status == 201 && created.headers["content-encoding"] == nil)
            try await EventSource.open(client, "/v1/jobs/\(job)/watch", headers: ["Accept-Encoding": "gzip"]) {
                source in
                #expect(!source.head.lowercased().contains("content-encoding"))
                let event = try await source.next()
                #expect(event?.name == "snapshot")
            }
        }
    }

    @Test("a tag of a compressed response matches, and the fast path compresses too")
    func fastPath() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            for count in [20, 400] {
                let labels = (0..<count).map { #"{"type":"progress","task":"t","label":"indicator \#($0)","done":1}"# }
                _ = try await client.post("/v1/jobs/\(job)/events", "[\(labels.joined(separator: ","))]")
                let request = "GET /v1/jobs/\(job) HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip, deflate\r\n"
                let first = try #require(try await client.sendPipelined([request + "\r\n"]).first)
                #expect(first.status == 200 && first.headers["content-encoding"] == "gzip")
                let body = try JobView(try JSONReader.read(try await decompressed(first.body)))
                #expect(body.snapshot.indicators.count == count)
                let tag = try #require(first.headers["etag"])
                let unchanged = try await client.sendPipelined([request + "If-None-Match: \(tag)\r\n\r\n"])
                #expect(unchanged.map(\.status) == [304])
            }
            let metrics = String(decoding: try await client.get("/metrics").body, as: UTF8.self)
            #expect(metrics.contains("progress_ledger_http_requests_total{path=\"fast\"} 4\n"))
        }
    }
}
