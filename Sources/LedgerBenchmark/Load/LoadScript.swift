/// The requests of a load.
///
/// The methods are called only on the load's thread. Other threads may read a script before and after the load.
protocol LoadScript: AnyObject, Sendable {
    /// Appends the next request of a connection to the bytes.
    func next(_ connection: Int, into request: inout [UInt8]) -> LoadStep
    /// Handles the response to the last request of a connection.
    func didReceive(_ connection: Int, _ response: LoadResponse)
}

/// The next step of a connection.
enum LoadStep {
    /// Send the appended request.
    case send
    /// Send the appended request at this time, or at once if it has passed.
    case sendAt(ContinuousClock.Instant)
    /// Send nothing more.
    case end
}

/// A response.
struct LoadResponse {
    let status: Int
    /// The value of `ETag`, if the response has one.
    var etag: String?
    let body: ArraySlice<UInt8>
    /// The time from when the request was due to the last byte of the response.
    ///
    /// Latencies start at the due time, so that a server that delays later requests does not appear faster.
    let latency: Duration
}

/// The result of a load.
struct LoadResult {
    /// Responses with the expected status.
    var responses = 0
    /// Responses with another status, by status.
    var failures: [Int: Int] = [:]
    /// The time from the first request to the last response.
    var elapsed: Duration = .zero
    var latencies = Latencies()

    var perSecond: Double { elapsed > .zero ? Double(responses) / elapsed.inSeconds : 0 }
}

/// Latencies in microseconds.
struct Latencies {
    private(set) var microseconds: [UInt32] = []

    mutating func add(_ latency: Duration) {
        microseconds.append(UInt32(clamping: Int64(latency.inSeconds * 1e6)))
    }

    mutating func add(_ others: Latencies) {
        microseconds += others.microseconds
    }

    mutating func add(microseconds value: UInt32) {
        microseconds.append(value)
    }

    /// A quantile in milliseconds, by nearest rank; nil if there are no latencies.
    func quantile(_ part: Double) -> Double? {
        guard !microseconds.isEmpty else { return nil }
        let sorted = microseconds.sorted()
        let rank = Int((part * Double(sorted.count)).rounded(.up)) - 1
        return Double(sorted[min(max(0, rank), sorted.count - 1)]) / 1_000
    }
}

extension Duration {
    /// The duration in seconds, at the precision of a double.
    var inSeconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }
}

/// The time limit of a load, which starts at its first request.
struct LoadTime {
    private let length: Duration
    private var end: ContinuousClock.Instant?

    init(seconds: Double) {
        length = .seconds(seconds)
    }

    /// Whether time is left; the first call starts the time.
    mutating func isTimeLeft() -> Bool {
        let now = ContinuousClock.now
        let end = end ?? now + length
        self.end = end
        return now < end
    }
}
