import HTTPTypes
import LedgerTestSupport
import LedgerWire
import Testing

@testable import LedgerHTTP

@Suite("Metrics")
struct MetricsTextTests {
    private static func text(_ format: MetricsText.Format) -> String {
        var text = MetricsText(format)
        text.begin("a_total", "Some \\ text.\nMore.", "counter")
        text.add("a_total", [("name", "a \"b\" \\ c\nd"), ("x", "y")], 5)
        text.begin("b_seconds", "Another.", "gauge")
        text.add("b_seconds", [], 0.5)
        guard case .bytes(let bytes) = text.response.body else { return "" }
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test("names and values are escaped, and OpenMetrics has its own names of counters and its end")
    func formats() {
        let samples = "a_total{name=\"a \\\"b\\\" \\\\ c\\nd\",x=\"y\"} 5\n"
        let gauge = "# HELP b_seconds Another.\n# TYPE b_seconds gauge\nb_seconds 0.5\n"
        let help = "Some \\\\ text.\\nMore.\n"
        #expect(
            Self.text(.prometheus) == "# HELP a_total \(help)# TYPE a_total counter\n" + samples + gauge)
        #expect(
            Self.text(.openMetrics) == "# HELP a \(help)# TYPE a counter\n" + samples + gauge + "# EOF\n")
    }

    @Test("a client gets OpenMetrics if it accepts it")
    func negotiation() async throws {
        try await withServer { client, _ in
            let open = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
            for (accept, isOpen) in [
                (open, true), ("text/plain, application/OpenMetrics-Text; version=1.0.0", true), ("*/*", false),
                ("text/plain", false), ("application/openmetrics-text; q=0, */*", false),
                ("application/openmetrics-text; q=0.2, text/plain", false), (nil, false),
            ] {
                let response = try await client.get("/metrics", headers: accept.map { ["Accept": $0] } ?? [:])
                let type = response.headers["content-type"] ?? ""
                #expect(
                    type.hasPrefix(isOpen ? "application/openmetrics-text; version=1.0.0" : "text/plain"), "\(type)")
                #expect(String(decoding: response.body, as: UTF8.self).hasSuffix("\n# EOF\n") == isOpen)
            }
        }
    }
}
