internal import HTTPTypes
internal import Ledger

/// Metrics in the text format of Prometheus, or in OpenMetrics 1.0 on request.
struct MetricsText {
    /// The formats.
    enum Format {
        /// The text format of Prometheus, version 0.0.4.
        case prometheus
        /// OpenMetrics 1.0: https://prometheus.io/docs/specs/om/open_metrics_spec/.
        case openMetrics

        /// The format that a client accepts. Prometheus names OpenMetrics first.
        init(accepting fields: HTTPFields) {
            let isOpen = AcceptedTypes(fields).prefers(
                "application/openmetrics-text", to: "text/plain", atEqualWeights: true)
            self = isOpen ? .openMetrics : .prometheus
        }

        var contentType: String {
            switch self {
            case .prometheus: "text/plain; version=0.0.4; charset=utf-8"
            case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
            }
        }
    }

    private let format: Format
    private var text = ""

    init(_ format: Format) {
        self.format = format
    }

    /// Begins a metric. Its samples follow.
    ///
    /// - Parameter kind: `counter`, `gauge` or `histogram`. The name of a counter ends with `_total`.
    mutating func begin(_ name: String, _ help: String, _ kind: String) {
        // In OpenMetrics the suffix belongs to the sample.
        let isCounter = kind == "counter" && name.hasSuffix("_total")
        let family = format == .openMetrics && isCounter ? String(name.dropLast("_total".utf8.count)) : name
        text += "# HELP \(family) \(Self.escaped(help))\n# TYPE \(family) \(kind)\n"
    }

    /// Adds a sample.
    mutating func add(_ name: String, _ labels: [(name: String, value: String)] = [], _ value: some Any) {
        text += name
        if !labels.isEmpty {
            let parts = labels.map { "\($0.name)=\"\(Self.escaped($0.value, quotes: true))\"" }
            text += "{\(parts.joined(separator: ","))}"
        }
        text += " \(value)\n"
    }

    /// The response with all metrics.
    var response: LedgerResponse {
        let end = format == .openMetrics ? "# EOF\n" : ""
        return LedgerResponse(
            status: .ok, headers: .varyByAccept, contentType: format.contentType, bytes: Array((text + end).utf8))
    }

    /// Escapes a backslash and a line feed, and a quote in the value of a label.
    private static func escaped(_ text: String, quotes: Bool = false) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": escaped += "\\\\"
            case "\"" where quotes: escaped += "\\\""
            case "\n": escaped += "\\n"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}
