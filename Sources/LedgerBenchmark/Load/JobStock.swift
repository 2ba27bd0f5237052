internal import Ledger

/// The jobs and events for one server, and the expected results.
///
/// `@unchecked Sendable`: only one load at a time uses it, on the load's thread. Other code reads it only while no load
/// is running.
final class JobStock: @unchecked Sendable {
    var workload: Workload
    var expectation: Expectation
    /// The ids of the jobs, by their indices in the workload.
    var jobs: [String] = []
    var etags: [String] = []

    init(jobs: Int, tasks: Int, after stored: StoredHistory = StoredHistory()) {
        workload = Workload(jobs: jobs, tasks: tasks, after: stored)
        expectation = Expectation(workload)
    }
}

extension [UInt8] {
    /// Appends an HTTP/1.1 request.
    mutating func appendRequest(
        _ method: String, _ path: String, headers: String = "", type: String = "application/json", body: [UInt8] = []
    ) {
        self += Array("\(method) \(path) HTTP/1.1\r\nHost: localhost\r\n\(headers)".utf8)
        if method == "POST" { self += Array("Content-Type: \(type)\r\nContent-Length: \(body.count)\r\n".utf8) }
        self += Array("\r\n".utf8)
        self += body
    }
}

/// A script that creates the jobs.
final class CreateScript: LoadScript, @unchecked Sendable {
    private let stock: JobStock
    private let count: Int
    private var startedCount = 0
    private var jobOfConnection: [Int: Int] = [:]

    init(_ stock: JobStock, count: Int) {
        self.stock = stock
        self.count = count
        stock.jobs = Array(repeating: "", count: count)
    }

    func next(_ connection: Int, into request: inout [UInt8]) -> LoadStep {
        guard startedCount < count else { return .end }
        request.appendRequest("POST", "/v1/jobs", body: Array("{\"name\":\"bench \(startedCount)\"}".utf8))
        jobOfConnection[connection] = startedCount
        startedCount += 1
        return .send
    }

    func didReceive(_ connection: Int, _ response: LoadResponse) {
        // {"now":"…","job":"…36 characters…"
        guard let jobIndex = jobOfConnection[connection],
            let name = response.body.firstRange(of: Array("\"job\":\"".utf8))
        else {
            return
        }
        stock.jobs[jobIndex] = String(decoding: response.body[name.upperBound...].prefix(36), as: UTF8.self)
    }
}

/// A script that appends events for some time.
final class AppendScript: LoadScript, @unchecked Sendable {
    enum Shape {
        /// One event in one job, chosen by its weight.
        case single
        /// A batch of events of the first job.
        case batch(Int, lines: Bool)
        /// A batch of events, each of a different job if there are enough.
        case collected(Int)
    }

    private let stock: JobStock
    private let shape: Shape
    private var time: LoadTime
    private let countMax: Int
    private var startedCount = 0
    private var inFlight: [[Workload.Item]]
    private var prepared: [(items: [Workload.Item], request: [UInt8])] = []

    /// Creates a script.
    ///
    /// - Parameter count: The number of requests to encode before the load begins.
    init(
        _ stock: JobStock, _ shape: Shape, connections: Int, seconds: Double, prepared count: Int, countMax: Int = .max
    ) {
        self.stock = stock
        self.shape = shape
        self.countMax = countMax
        inFlight = Array(repeating: [], count: connections)
        for _ in 0..<min(count, countMax) { prepared.append(Self.make(stock, shape)) }
        prepared.reverse()
        time = LoadTime(seconds: seconds)
    }

    private static func make(_ stock: JobStock, _ shape: Shape) -> (items: [Workload.Item], request: [UInt8]) {
        var body: [UInt8] = []
        var request: [UInt8] = []
        switch shape {
        case .single:
            let item = stock.workload.next()
            Workload.write(item, job: nil, into: &body)
            request.appendRequest("POST", "/v1/jobs/\(stock.jobs[item.job])/events", body: body)
            return ([item], request)
        case .batch(let count, let lines):
            let items = (0..<count).map { _ in stock.workload.next(in: 0) }
            for (index, item) in items.enumerated() {
                if !lines { body.append(UInt8(ascii: index == 0 ? "[" : ",")) }
                Workload.write(item, job: nil, into: &body)
                if lines { body.append(10) }
            }
            if !lines { body.append(UInt8(ascii: "]")) }
            request.appendRequest(
                "POST", "/v1/jobs/\(stock.jobs[0])/events", type: lines ? "application/x-ndjson" : "application/json",
                body: body)
            return (items, request)
        case .collected(let count):
            let items = (0..<count).map { stock.workload.next(in: $0 % stock.jobs.count) }
            for item in items {
                Workload.write(item, job: stock.jobs[item.job], into: &body)
                body.append(10)
            }
            request.appendRequest("POST", "/v1/events", type: "application/x-ndjson", body: body)
            return (items, request)
        }
    }

    func next(_ connection: Int, into request: inout [UInt8]) -> LoadStep {
        guard startedCount < countMax, time.isTimeLeft() else { return .end }
        startedCount += 1
        let (items, bytes) = prepared.popLast() ?? Self.make(stock, shape)
        inFlight[connection] = items
        request += bytes
        return .send
    }

    func didReceive(_ connection: Int, _ response: LoadResponse) {
        guard response.status == 201 else { return }
        for item in inFlight[connection] { stock.expectation.acknowledged(item) }
    }
}

/// A script that appends at a steady rate and samples the projection lag.
///
/// After some of the appends it waits until the snapshot includes the event.
final class LagScript: LoadScript, @unchecked Sendable {
    private enum Activity {
        case appending(Workload.Item, isFollowed: Bool)
        case reading(since: ContinuousClock.Instant)
    }

    /// The sampling interval: one append in this many is followed to its snapshot.
    private static let sampleEvery = 25
    /// The delay from creating the script to the first request.
    ///
    /// It lets all connections open first, so that the rate is steady from the beginning.
    static let headStart: Duration = .milliseconds(200)

    private let stock: JobStock
    private let interval: Duration
    private let start: ContinuousClock.Instant
    private let count: Int
    private var startedCount = 0
    private var activity: [Activity?]
    private var pendingPath: [String?]
    private(set) var commits = Latencies()
    private(set) var lags = Latencies()
    private(set) var failures = 0

    init(_ stock: JobStock, perSecond: Int, seconds: Double, connections: Int) {
        self.stock = stock
        interval = .seconds(1) / perSecond
        count = Int(Double(perSecond) * seconds)
        start = .now + Self.headStart
        activity = Array(repeating: nil, count: connections)
        pendingPath = Array(repeating: nil, count: connections)
    }

    func next(_ connection: Int, into request: inout [UInt8]) -> LoadStep {
        if let path = pendingPath[connection] {
            pendingPath[connection] = nil
            activity[connection] = .reading(since: .now)
            request.appendRequest("GET", path)
            return .send
        }
        guard startedCount < count else { return .end }
        let moment = start + interval * startedCount
        startedCount += 1
        let item = stock.workload.next()
        var body: [UInt8] = []
        Workload.write(item, job: nil, into: &body)
        request.appendRequest("POST", "/v1/jobs/\(stock.jobs[item.job])/events", body: body)
        // The sample is chosen here. Otherwise all appends that are acknowledged before the next one begins would be
        // followed, and would keep connections busy.
        activity[connection] = .appending(item, isFollowed: startedCount % Self.sampleEvery == 0)
        return .sendAt(moment)
    }

    func didReceive(_ connection: Int, _ response: LoadResponse) {
        switch activity[connection] {
        case .appending(let item, let isFollowed) where response.status == 201:
            commits.add(response.latency)
            stock.expectation.acknowledged(item)
            if isFollowed {
                // {"first_sequence":N,…
                let digits = response.body.drop { $0 < 48 || $0 > 57 }.prefix { $0 >= 48 && $0 <= 57 }
                let sequence = String(decoding: digits, as: UTF8.self)
                pendingPath[connection] = "/v1/jobs/\(stock.jobs[item.job])/progress?min_sequence=\(sequence)"
            }
        case .reading(let since) where response.status == 200: lags.add(since.duration(to: .now))
        default: failures += 1
        }
    }
}

/// A script that sends read requests for some time.
final class ReadScript: LoadScript, @unchecked Sendable {
    enum Kind { case constant, snapshot, unchanged, list }

    private let stock: JobStock
    private let kind: Kind
    private var time: LoadTime
    private let countMax: Int
    private var startedCount = 0
    private var jobIndex: [Int]

    init(_ stock: JobStock, _ kind: Kind, connections: Int, seconds: Double, countMax: Int = .max) {
        self.stock = stock
        self.kind = kind
        self.countMax = countMax
        time = LoadTime(seconds: seconds)
        jobIndex = Array(repeating: 0, count: connections)
    }

    func next(_ connection: Int, into request: inout [UInt8]) -> LoadStep {
        guard startedCount < countMax, time.isTimeLeft() else { return .end }
        // If the count equals the number of jobs, read each job once, the most frequently read jobs last.
        let job = countMax == stock.jobs.count ? countMax - 1 - startedCount : stock.workload.pickJob()
        startedCount += 1
        jobIndex[connection] = job
        switch kind {
        case .constant: request.appendRequest("GET", "/healthz")
        case .list: request.appendRequest("GET", "/v1/jobs?limit=\(Measurements.listSize)")
        case .snapshot: request.appendRequest("GET", "/v1/jobs/\(stock.jobs[job])/progress")
        case .unchanged:
            request.appendRequest(
                "GET", "/v1/jobs/\(stock.jobs[job])/progress", headers: "If-None-Match: \(stock.etags[job])\r\n")
        }
        return .send
    }

    func didReceive(_ connection: Int, _ response: LoadResponse) {
        guard kind != .constant, let etag = response.etag else { return }
        if stock.etags.isEmpty { stock.etags = Array(repeating: "", count: stock.jobs.count) }
        stock.etags[jobIndex[connection]] = etag
    }
}
