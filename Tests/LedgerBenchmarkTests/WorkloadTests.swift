import Ledger
import Testing

@testable import LedgerBenchmark

@Suite("Workload, parsers and statistics of the benchmark")
struct WorkloadTests {
    @Test(
        "the expected snapshots are the fold's result for the same events in any order",
        arguments: [StoredHistory(), StoredHistory(tasks: 9, reports: 2), StoredHistory(tasks: 41, reports: 1)])
    func expectation(stored: StoredHistory) throws {
        var workload = Workload(jobs: 3, tasks: 4, after: stored)
        var expectation = Expectation(workload)
        var items = (0..<2_000).map { _ in workload.next() }
        var random = SplitMix64(state: 5)
        for index in items.indices { items.swapAt(index, Int(random.next() % UInt64(items.count))) }
        #expect(items.contains { $0.attempt > 1 })
        var jobs = try (0..<3).map { _ in try FoldedJob(stored) }
        for item in items {
            expectation.acknowledged(item)
            try jobs[item.job].apply(
                task: item.name, attempt: item.attempt, report: item.report, label: item.label, total: item.total,
                done: item.done)
        }
        #expect(expectation.eventCount - expectation.storedEvents == 2_000)
        for job in 0..<3 {
            #expect(expectation.events[job] == jobs[job].sequence.number)
            let indicators = jobs[job].fold.snapshot().indicators
            for (label, name) in Workload.labels.enumerated() {
                let shown = indicators.first { $0.label?.text == name }
                let expected = expectation.indicator(job: job, label: label)
                #expect(shown.map { Int64($0.counted.total) } ?? 0 == expected.total)
                #expect(shown.map { Int64($0.counted.done) } ?? 0 == expected.done)
            }
        }
    }

    /// A job as the benchmark fills and loads it, folded by the product.
    private struct FoldedJob {
        var fold = Fold()
        var sequence: EventSequence = 0

        init(_ stored: StoredHistory) throws {
            for number in 0..<stored.tasks * stored.reports {
                let task = number % stored.tasks
                try apply(
                    task: task, attempt: 1, report: number / stored.tasks + 1,
                    label: StoredHistory.label(ofTask: task), total: StoredHistory.total, done: StoredHistory.done)
            }
        }

        mutating func apply(task: Int, attempt: Int, report: Int, label: Int, total: Int64, done: Int64) throws {
            sequence += 1
            let report = ProgressReport(
                reference: ExecutionReference(
                    task: Name("task-\(task)"), execution: Name("task-\(task)-\(attempt)"), attempt: Int32(attempt)),
                report: Int64(report), label: Name(Workload.labels[label]), total: total, done: done)
            _ = try fold.apply(
                EventDraft(.progress(report)).recorded(
                    sequence: sequence, at: Timestamp(microseconds: 1_790_000_000_000_000)))
        }
    }

    @Test("the same seed gives the same events, and the first jobs get the most")
    func deterministic() {
        var one = Workload(jobs: 100, tasks: 10)
        var other = Workload(jobs: 100, tasks: 10)
        var counts = Array(repeating: 0, count: 100)
        for _ in 0..<5_000 {
            let item = one.next()
            let same = other.next()
            #expect((item.job, item.task, item.report) == (same.job, same.task, same.report))
            counts[item.job] += 1
        }
        #expect(counts[0] > 5 * counts[20])
    }

    @Test("a response is found only after all of it has arrived")
    func responses() throws {
        let response = Array("HTTP/1.1 201 Created\r\nContent-Length: 3\r\nETag: W/\"last-1-7\"\r\n\r\nabc".utf8)
        for count in 0..<response.count { #expect(try ResponseParser.find(in: Array(response[..<count])) == nil) }
        let found = try #require(try ResponseParser.find(in: response))
        #expect(found.status == 201)
        #expect(found.etag == "W/\"last-1-7\"")
        #expect(Array(response[found.body]) == Array("abc".utf8))
    }

    @Test(
        "snapshots are found in a stream after they have arrived completely, in pieces of any size",
        arguments: [1, 7, 1_000])
    func streams(pieceSize: Int) throws {
        let events = [
            "retry: 1000\n: watching\n\n", "id: 12\n",
            "event: snapshot\ndata: {\"sequence\":12,\"progress\":[{\"done\":4,",
            "\"attempted_done\":9},{\"done\":7}]}\n\n", ":\n\n", "id: 13\nevent: snapshot\ndata: {\"done\":12}\n\n",
        ]
        var text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        for event in events { text += "\(String(event.utf8.count, radix: 16))\r\n\(event)\r\n" }
        let bytes = Array(text.utf8)
        var reader = EventStreamReader()
        var found: [EventStreamReader.ShownSnapshot] = []
        for start in stride(from: 0, to: bytes.count, by: pieceSize) {
            found += try bytes[start..<min(bytes.count, start + pieceSize)].withUnsafeBytes { try reader.add($0) }
        }
        #expect(found == [.init(sequence: 12, done: 11), .init(sequence: 13, done: 12)])
    }

    @Test("a refused or ended stream is an error")
    func endedStreams() throws {
        for text in ["HTTP/1.1 503 Service Unavailable\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n0\r\n\r\n"] {
            var reader = EventStreamReader()
            #expect(throws: BenchmarkError.self) { try Array(text.utf8).withUnsafeBytes { try reader.add($0) } }
        }
    }

    @Test("medians, quantiles and reached targets follow from the rounds")
    func figures() {
        #expect([3.0, 1, 2].median == 2)
        #expect([4.0, 1, 2, 3].median == 2.5)
        var latencies = Latencies()
        for value in 1...100 { latencies.add(microseconds: UInt32(value * 1_000)) }
        #expect(latencies.quantile(0.5) == 50)
        #expect(latencies.quantile(0.99) == 99)
        var row = BenchmarkRow("1", "work", unit: "events/s", target: 0.5)
        row.ours = [4, 6, 5]
        row.limit = [10, 10, 10]
        #expect(row.isReached == true)
        row.isCeiling = true
        row.target = 0.4
        #expect(row.isReached == false)
    }

    @Test("one in 25 appends is followed to the snapshot, however many responses arrive at once")
    func followed() {
        let stock = JobStock(jobs: 1, tasks: 1)
        stock.jobs = ["j"]
        let connections = 64
        let script = LagScript(stock, perSecond: 1_000, seconds: 1, connections: connections)
        let recorded = LoadResponse(status: 201, body: Array("{\"first_sequence\":1}".utf8)[...], latency: .zero)
        let shown = LoadResponse(status: 200, body: [], latency: .zero)
        var open = Set(0..<connections)
        var looks = 0
        while !open.isEmpty {
            var looking: Set<Int> = []
            for connection in open {
                var request: [UInt8] = []
                switch script.next(connection, into: &request) {
                case .end: open.remove(connection)
                case .send: looking.insert(connection)
                case .sendAt: break
                }
            }
            looks += looking.count
            for connection in open { script.didReceive(connection, looking.contains(connection) ? shown : recorded) }
        }
        #expect(looks == 40)
        #expect(script.commits.microseconds.count == 1_000)
        #expect(script.failures == 0)
    }
}
