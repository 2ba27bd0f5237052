/// A script that appends single events at a steady rate.
///
/// It keeps the time of each response.
final class SteadyScript: LoadScript, @unchecked Sendable {
    private let stock: JobStock
    private let interval: Duration
    private let start: ContinuousClock.Instant
    private let count: Int
    private var startedCount = 0
    private var inFlight: [Workload.Item?]
    /// The responses with their times and latencies.
    private(set) var responses: [(at: ContinuousClock.Instant, latency: Duration)] = []

    init(_ stock: JobStock, perSecond: Int, seconds: Double, connections: Int) {
        self.stock = stock
        interval = .seconds(1) / perSecond
        count = Int(Double(perSecond) * seconds)
        start = .now + LagScript.headStart
        inFlight = Array(repeating: nil, count: connections)
    }

    func next(_ connection: Int, into request: inout [UInt8]) -> LoadStep {
        guard startedCount < count else { return .end }
        let moment = start + interval * startedCount
        startedCount += 1
        let item = stock.workload.next()
        inFlight[connection] = item
        var body: [UInt8] = []
        Workload.write(item, job: nil, into: &body)
        request.appendRequest("POST", "/v1/jobs/\(stock.jobs[item.job])/events", body: body)
        return .sendAt(moment)
    }

    func didReceive(_ connection: Int, _ response: LoadResponse) {
        guard response.status == 201, let item = inFlight[connection] else { return }
        stock.expectation.acknowledged(item)
        responses.append((at: .now, latency: response.latency))
    }

    /// The longest latency of the responses before, or from, a moment.
    func longest(from moment: ContinuousClock.Instant, before: Bool) -> Duration? {
        responses.lazy.filter { ($0.at < moment) == before }.map(\.latency).max()
    }
}
