import Ledger
import Testing

@testable import LedgerBenchmark

@Suite("The benchmark's own numbers")
struct WorkloadTests {
    @Test("what must be shown at the end is what the fold makes of the same events, in whatever order they arrive")
    func expectation() throws {
        var workload = Workload(jobs: 3, tasks: 4)
        var expectation = Expectation(workload)
        var items = (0..<2_000).map { _ in workload.next() }
        var random = SplitMix64(state: 5)
        for index in items.indices { items.swapAt(index, Int(random.next() % UInt64(items.count))) }
        #expect(items.contains { $0.attempt > 1 })
        var folds = [Fold(), Fold(), Fold()]
        var sequences: [Int64] = [0, 0, 0]
        for item in items {
            expectation.acknowledged(item)
            sequences[item.job] += 1
            let report = ProgressReport(
                reference: ExecutionReference(
                    task: Name("task-\(item.task)"), execution: Name("task-\(item.task)-\(item.attempt)"),
                    attempt: Int32(item.attempt)),
                report: Int64(item.report), label: Name(Workload.labels[item.label]), total: item.total,
                done: item.done)
            _ = try folds[item.job].apply(
                EventDraft(.progress(report)).recorded(
                    sequence: sequences[item.job], at: Timestamp(microseconds: 1_790_000_000_000_000)))
        }
        for job in 0..<3 {
            #expect(expectation.events[job] == sequences[job])
            let indicators = folds[job].snapshot().indicators
            for (label, name) in Workload.labels.enumerated() {
                let shown = indicators.first { $0.label?.text == name }
                let wanted = expectation.indicator(job: job, label: label)
                #expect(shown.map { Int64($0.counted.total) } ?? 0 == wanted.total)
                #expect(shown.map { Int64($0.counted.done) } ?? 0 == wanted.done)
            }
        }
    }

    @Test("the same seed gives the same events, and the first jobs get the most")
    func deterministic() {
        var one = Workload(jobs: 100, tasks: 10)
        var other = Workload(jobs: 100, tasks: 10)
        var counts = Array(repeating: 0, count: 100)
        for _ in 0..<5_000 {
            let item = one.next()
            let twin = other.next()
            #expect((item.job, item.task, item.report) == (twin.job, twin.task, twin.report))
            counts[item.job] += 1
        }
        #expect(counts[0] > 5 * counts[20])
    }

    @Test("an answer is found when all of it is there, and not before")
    func answers() throws {
        let answer = Array("HTTP/1.1 201 Created\r\nContent-Length: 3\r\nETag: W/\"last-1-7\"\r\n\r\nabc".utf8)
        for count in 0..<answer.count { #expect(try AnswerParser.find(in: Array(answer[..<count])) == nil) }
        let found = try #require(try AnswerParser.find(in: answer))
        #expect(found.status == 201)
        #expect(found.etag == "W/\"last-1-7\"")
        #expect(Array(answer[found.body]) == Array("abc".utf8))
    }

    @Test("medians, quantiles and what is reached follow from the rounds")
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
}
