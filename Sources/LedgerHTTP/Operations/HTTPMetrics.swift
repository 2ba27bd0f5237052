internal import Synchronization

/// Counts requests by route, method and status class, and how long they took.
final class HTTPMetrics: Sendable {
    /// The upper bounds of the histogram, in seconds.
    private static let bounds: [Double] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

    private struct Key: Hashable {
        let route: String
        let method: String
        let statusClass: Int
    }

    private struct Series {
        var counts = [UInt64](repeating: 0, count: HTTPMetrics.bounds.count + 1)
        var sum = 0.0

        mutating func add(_ seconds: Double, _ bucket: Int) {
            counts[bucket] += 1
            sum += seconds
        }
    }

    private struct State {
        var series: [Key: Series] = [:]
        var inFlight = 0
        var fast: UInt64 = 0
        var routed: UInt64 = 0
        var watchers = 0
    }

    /// The maximum number of series.
    ///
    /// Routes, methods and status classes are few. The limit and the known methods keep clients from adding more.
    private static let seriesMax = 500
    private static let knownMethods: Set<String> = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

    private let state = Mutex(State())
    let refusals = RefusalLog()
    private let certificateExpiry = Mutex<@Sendable () -> Int?>({ nil })

    /// Sets the source of the time at which the certificate of TLS expires.
    func setCertificateExpiry(_ expiry: @escaping @Sendable () -> Int?) {
        certificateExpiry.withLock { $0 = expiry }
    }

    func began() {
        state.withLock { $0.inFlight += 1 }
    }

    /// Counts a request that was refused before it reached a route.
    ///
    /// It was not valid HTTP, or its connection exceeded the limit.
    func refused(status: Int) {
        began()
        ended(route: "none", method: "other", status: status, seconds: .zero)
    }

    func watchersChanged(by change: Int) {
        state.withLock { $0.watchers += change }
    }

    /// Counts a completed request.
    ///
    /// - Parameter isFast: Whether a channel handler responded instead of the router.
    func ended(route: String, method: String, status: Int, seconds duration: Duration, isFast: Bool = false) {
        let (whole, attoseconds) = duration.components
        let seconds = Double(whole) + Double(attoseconds) / 1e18
        let key = Key(
            route: route, method: Self.knownMethods.contains(method) ? method : "other", statusClass: status / 100)
        let bucket = Self.bounds.firstIndex { seconds <= $0 } ?? Self.bounds.count
        state.withLock { state in
            state.inFlight -= 1
            if isFast { state.fast += 1 } else { state.routed += 1 }
            guard state.series.count < Self.seriesMax || state.series[key] != nil else { return }
            state.series[key, default: Series()].add(seconds, bucket)
        }
    }

    /// Writes all metrics.
    func write(to text: inout MetricsText) {
        let (series, inFlight, watchers, fast, routed) = state.withLock {
            ($0.series, $0.inFlight, $0.watchers, $0.fast, $0.routed)
        }
        text.begin("progress_ledger_http_requests_in_flight", "Requests that are being answered.", "gauge")
        text.add("progress_ledger_http_requests_in_flight", [], inFlight)
        text.begin(
            "progress_ledger_http_requests_total", "Requests by path: fast ones need no task.", "counter")
        text.add("progress_ledger_http_requests_total", [("path", "fast")], fast)
        text.add("progress_ledger_http_requests_total", [("path", "routed")], routed)
        text.begin("progress_ledger_http_refusals_total", "Refused requests by reason.", "counter")
        for (reason, count) in refusals.counts {
            text.add("progress_ledger_http_refusals_total", [("reason", reason.rawValue)], count)
        }
        if let expiry = certificateExpiry.withLock({ $0 })() {
            let name = "progress_ledger_tls_certificate_expiry_seconds"
            text.begin(name, "When the TLS certificate expires, in Unix time.", "gauge")
            text.add(name, [], expiry)
        }
        text.begin("progress_ledger_http_watchers", "Streams of server-sent events that are open.", "gauge")
        text.add("progress_ledger_http_watchers", [], watchers)
        let ordered = series.sorted {
            ($0.key.route, $0.key.method, $0.key.statusClass) < ($1.key.route, $1.key.method, $1.key.statusClass)
        }
        let name = "progress_ledger_http_request_seconds"
        text.begin(name, "How long requests took.", "histogram")
        for (key, series) in ordered {
            let labels = [("route", key.route), ("method", key.method), ("status", "\(key.statusClass)xx")]
            var sum: UInt64 = 0
            for (bound, count) in zip(Self.bounds, series.counts) {
                sum += count
                text.add("\(name)_bucket", labels + [("le", "\(bound)")], sum)
            }
            sum += series.counts[Self.bounds.count]
            text.add("\(name)_bucket", labels + [("le", "+Inf")], sum)
            text.add("\(name)_sum", labels, series.sum)
            text.add("\(name)_count", labels, sum)
        }
    }
}
