/// What a load consists of. Called on the load's own thread only, and looked at by others only before and after.
protocol LoadScript: AnyObject, Sendable {
    /// Adds the next request of a connection to the bytes.
    func next(_ connection: Int, into request: inout [UInt8]) -> LoadStep
    /// Takes the answer to the last request of a connection.
    func answered(_ connection: Int, _ answer: LoadResponse)
}

/// What a connection does next.
enum LoadStep {
    /// It sends what was added.
    case send
    /// It sends what was added at this moment, or at once where that has passed.
    case sendAt(ContinuousClock.Instant)
    /// It has nothing more to send.
    case end
}

/// An answer as it came in.
struct LoadResponse {
    let status: Int
    /// The value of `ETag`, where it is asked for.
    var etag: String?
    let body: ArraySlice<UInt8>
    /// From the moment when the request was to be sent, so that a server that keeps others waiting does not look better
    /// for it, to the last byte of the answer.
    let latency: Duration
}

/// What came of a load.
struct LoadResult {
    /// Answers that were as they should be.
    var answers = 0
    /// Answers of other status codes.
    var failures: [Int: Int] = [:]
    /// From the first request to the last answer.
    var elapsed: Duration = .zero
    var latencies = Latencies()

    var perSecond: Double { elapsed > .zero ? Double(answers) / elapsed.inSeconds : 0 }
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

    /// The latency in milliseconds that this part of all does not exceed (nearest rank); nil where there is none.
    func quantile(_ part: Double) -> Double? {
        guard !microseconds.isEmpty else { return nil }
        let sorted = microseconds.sorted()
        let rank = Int((part * Double(sorted.count)).rounded(.up)) - 1
        return Double(sorted[min(max(0, rank), sorted.count - 1)]) / 1_000
    }
}

extension Duration {
    /// In seconds, with what a double keeps of it.
    var inSeconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }
}

/// How long a load goes on: from its first request, whatever was done between its making and that.
struct LoadTime {
    private let length: Duration
    private var end: ContinuousClock.Instant?

    init(seconds: Double) {
        length = .seconds(seconds)
    }

    /// Whether it goes on; begins it where it has not begun.
    mutating func goesOn() -> Bool {
        let now = ContinuousClock.now
        let end = end ?? now + length
        self.end = end
        return now < end
    }
}
