internal import Ledger

/// The events of the benchmark, which are the same in every run of it.
///
/// A few jobs get most of the events (Zipf), 15 in 100 tasks are retried once or twice, there are four labels, and some
/// reports come from superseded executions.
///
/// Each event contains its attempt. The highest attempt of a task counts in any order of arrival, so the final
/// snapshots can be predicted without a fold.
struct Workload {
    static let labels = ["rows", "bytes", "files", "checks"]
    /// The number of reports of an execution before the next one of its task starts.
    private static let reportsPerExecution: UInt32 = 20

    /// An event of a task.
    struct Item {
        let job: Int
        let task: Int
        /// The number in the task's name.
        let name: Int
        let attempt: Int
        let label: Int
        let report: Int
        let total: Int64
        let done: Int64
    }

    let jobs: Int
    let tasks: Int
    /// The events that the jobs contain before the load.
    let stored: StoredHistory
    private var random: SplitMix64
    private let weights: [Double]
    /// The number of events generated so far, by task.
    private var generatedCounts: [UInt32]

    init(jobs: Int, tasks: Int, after stored: StoredHistory = StoredHistory(), seed: UInt64 = 20_261_124) {
        self.jobs = jobs
        self.tasks = tasks
        self.stored = stored
        random = SplitMix64(state: seed)
        var sum = 0.0
        // Zipf with exponent 1: the job of rank n gets 1/n of the events of the first one.
        weights = (1...jobs).map { rank in
            sum += 1 / Double(rank)
            return sum
        }
        generatedCounts = Array(repeating: 0, count: jobs * tasks)
    }

    /// Chooses a job by its weight.
    mutating func pickJob() -> Int {
        let point = random.unit() * (weights.last ?? 0)
        var low = 0
        var high = weights.count - 1
        while low < high {
            let middle = (low + high) / 2
            if weights[middle] < point { low = middle + 1 } else { high = middle }
        }
        return low
    }

    mutating func next() -> Item { next(in: pickJob()) }

    mutating func next(in job: Int) -> Item {
        let task = Int(random.next() % UInt64(tasks))
        let index = job * tasks + task
        let number = generatedCounts[index]
        generatedCounts[index] += 1
        let last = Self.executions(index)
        let current = min(last, 1 + Int(number / Self.reportsPerExecution))
        let isZombie = current > 1 && random.next() % 50 == 0
        let bits = random.next()
        return Item(
            job: job, task: task, name: stored.name(ofTask: task, of: tasks),
            attempt: isZombie ? current - 1 : current, label: Int(bits % 4),
            report: stored.reports + Int(number) + 1, total: bits % 16 < 4 ? 10 : 0, done: Int64((bits >> 8) & 3))
    }

    /// The number of executions of a task: 15 in 100 tasks have two or three.
    private static func executions(_ index: Int) -> Int {
        var random = SplitMix64(state: UInt64(index) &+ 77)
        let roll = random.next() % 100
        return roll < 5 ? 3 : roll < 15 ? 2 : 1
    }

    /// The event as JSON.
    static func write(_ item: Item, job: String?, into bytes: inout [UInt8]) {
        bytes += Array("{".utf8)
        if let job { bytes += Array("\"job\":\"\(job)\",".utf8) }
        bytes += Array(
            ("\"type\":\"progress\",\"task\":\"task-\(item.name)\",\"execution\":\"task-\(item.name)-\(item.attempt)\","
                + "\"attempt\":\(item.attempt),\"report\":\(item.report),\"label\":\"\(labels[item.label])\","
                + "\"total\":\(item.total),\"done\":\(item.done)}").utf8)
    }
}

/// A small, portable generator of random numbers (Steele, Lea and Flood, 2014).
struct SplitMix64 {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }

    /// A random number from 0 up to but not including 1.
    mutating func unit() -> Double { Double(next() >> 11) / 9_007_199_254_740_992 }
}

/// The events that every job contains before the load.
///
/// Each job has the same tasks, with one execution each and the same number of reports.
struct StoredHistory: Sendable {
    /// The `total` of each report.
    static let total: Int64 = 2
    /// The `done` of each report.
    static let done: Int64 = 1

    var tasks = 0
    var reports = 0

    /// The number of events of one job, without its creation.
    var eventsOfJob: Int64 { Int64(tasks) * Int64(reports) }

    /// The label of a task; all its reports are on one indicator.
    static func label(ofTask task: Int) -> Int { task % Workload.labels.count }

    /// The number of a task that gets more events; these tasks are spread evenly.
    func name(ofTask task: Int, of count: Int) -> Int { task * max(1, tasks / count) }

    /// The sums of each indicator.
    var sums: (total: [Int64], done: [Int64]) {
        var sums = (total: [Int64](repeating: 0, count: 4), done: [Int64](repeating: 0, count: 4))
        for task in 0..<tasks {
            sums.total[Self.label(ofTask: task)] += Self.total * Int64(reports)
            sums.done[Self.label(ofTask: task)] += Self.done * Int64(reports)
        }
        return sums
    }
}

/// The expected content of the ledger after all acknowledged events are folded.
struct Expectation {
    private struct Sums {
        var attempt = 0
        var total: [Int64] = [0, 0, 0, 0]
        var done: [Int64] = [0, 0, 0, 0]
    }

    private let tasks: Int
    /// The sums, in each job, of the tasks that get no more events.
    private let rest: (total: [Int64], done: [Int64])
    private var sums: [Sums]
    /// The number of acknowledged events of each job.
    private(set) var events: [Int64]
    /// The number of events that were stored before the load.
    let storedEvents: Int64

    init(_ workload: Workload) {
        let stored = workload.stored
        tasks = workload.tasks
        storedEvents = Int64(workload.jobs) * stored.eventsOfJob
        events = Array(repeating: stored.eventsOfJob, count: workload.jobs)
        var ofJob = Array(repeating: Sums(), count: workload.tasks)
        var rest = stored.sums
        for task in ofJob.indices {
            let name = stored.name(ofTask: task, of: workload.tasks)
            guard name < stored.tasks else { continue }
            let label = StoredHistory.label(ofTask: name)
            ofJob[task].attempt = 1
            ofJob[task].total[label] = StoredHistory.total * Int64(stored.reports)
            ofJob[task].done[label] = StoredHistory.done * Int64(stored.reports)
            rest.total[label] -= ofJob[task].total[label]
            rest.done[label] -= ofJob[task].done[label]
        }
        self.rest = rest
        sums = (0..<workload.jobs).flatMap { _ in ofJob }
    }

    mutating func acknowledged(_ item: Workload.Item) {
        events[item.job] += 1
        let index = item.job * tasks + item.task
        if item.attempt > sums[index].attempt {
            sums[index] = Sums(attempt: item.attempt)
        } else if item.attempt < sums[index].attempt {
            return
        }
        sums[index].total[item.label] += item.total
        sums[index].done[item.label] += item.done
    }

    /// The expected sums of an indicator.
    func indicator(job: Int, label: Int) -> (total: Int64, done: Int64) {
        (0..<tasks).reduce((rest.total[label], rest.done[label])) { sum, task in
            let task = sums[job * tasks + task]
            return (sum.0 + task.total[label], sum.1 + task.done[label])
        }
    }

    var eventCount: Int64 { events.reduce(0, +) }
}
