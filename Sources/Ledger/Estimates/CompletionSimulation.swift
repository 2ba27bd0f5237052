/// Simulates the rest of a job many times, with random durations.
///
/// The random numbers are the same for every job and moment. Successive estimates therefore differ only by what has
/// happened between them.
struct CompletionSimulation {
    /// The inputs that do not depend on the work left.
    struct Conditions {
        let now: Timestamp
        /// The seconds since the job's first execution.
        let elapsed: Double
        let pool: DurationPool
        let speed: JobSpeed
        /// The standard deviation of a known task's logarithm from job to job.
        let taskSpread: Double
        /// The workers that go on when nothing runs.
        let usualWorkers: Double
        /// The probability that an execution fails.
        let failureRate: Double
        /// The seconds since anything happened, if nothing runs although work is left.
        let idle: Double?
        /// The labels with totals that keep growing.
        let growth: [Growth]
    }

    /// The growth of a label's total.
    struct Growth {
        let classIndex: Int?
        /// The mean units of an execution.
        let units: Double
        /// The seconds from the first to the last declaration.
        let span: Double
        /// The seconds since the last declaration.
        let since: Double
        /// Units declared per second lately.
        let rate: Double
    }

    /// The result of one draw.
    struct Draw {
        /// The remaining seconds.
        var seconds = 0.0
        /// The class of the last execution; nil if it is of no class.
        var classIndex: Int?
        /// The running execution that ends last; nil if another one does.
        var running: Int?
    }

    /// The number of draws.
    ///
    /// More hardly improve the quantiles: with twice as many, the error factor of the ten scenarios is 0.4 % lower, and
    /// the others are as low.
    private static let drawCount = 48
    /// The sizes of a draw beyond which there are half and a third as many draws.
    ///
    /// The size is the number of classes and executions. The sum of many durations varies less from draw to draw.
    private static let sizes = (half: 64.0, third: 256.0)
    /// The maximum number of waiting executions that are simulated one by one.
    ///
    /// The time of the others is divided among the workers.
    private static let queueMax = 200.0
    /// The probability of an outlier. 0.005 to 0.03 measure alike.
    static let outlierRate = 0.02
    /// The exponent of the Pareto distribution of an outlier's residual time.
    ///
    /// 1 to 2.5 measure alike.
    static let outlierExponent = 1.5
    /// The probability that a class without samples has begun.
    ///
    /// It holds while a class with samples has work. 0.15 to 1 have the same error, but 1 is less stable.
    private static let begunProbability = 0.3

    private(set) var classes: [WorkClass]
    private(set) var running: [RunningWork]
    /// The numbers of the running executions that draws need.
    private(set) var executions: [Execution] = []
    /// The plausibilities of the classes, for each execution without one.
    private var plausibilities: [Double] = []
    let conditions: Conditions
    /// The part of the work that is simulated; 1 unless too many executions run.
    private let scale: Double
    private let drawTotal: Int
    /// The standard deviation of the result's logarithm because of unseen work.
    private let unseenDeviation: Double
    /// The executions of each class that have not begun.
    private var waitingAtFirst: [Double] = []

    /// The durations of each class.
    let durations: [ClassDurations]
    /// The observed seconds of all classes.
    let observed: [Double]

    // The state of one draw.
    var random = RandomSequence(seed: 0)
    /// The shift of the logarithm of a sampled class, or the mean of a guessed one.
    var means: [Double] = []
    /// The exponentials of ``means``.
    var factors: [Double] = []
    private var waiting: [Double] = []
    private var ends: [Double] = []
    private var hasBegun: [Bool] = []
    var chosenClasses: [Int?] = []
    private var workerHeap = EndTimeHeap()
    private var queue: [QueuedExecution] = []
    /// The factor of each class that makes a weight of a plausibility.
    ///
    /// It is zero if none of its executions is waiting.
    private var availabilities: [Double] = []
    /// The weights of the classes for one execution.
    ///
    /// Each is the product of a plausibility and an availability.
    private var weights: [Double] = []
    private var oldest: [Double] = []

    /// A running execution without references.
    ///
    /// Draws copy it thousands of times.
    struct Execution {
        let age: Double
        let logarithmOfAge: Double
        let classIndex: Int?
        let kind: Kind

        /// The knowledge about its rest, as ``RunningWork/Kind``.
        enum Kind {
            case reporting(ReportedRest)
            case known(Double)
            case silent
        }

        init(_ work: RunningWork) {
            age = work.age
            logarithmOfAge = work.logarithmOfAge
            classIndex = work.classIndex
            kind =
                switch work.kind {
                case .reporting(let reporting): .reporting(ReportedRest(reporting))
                case .known(let usual): .known(usual)
                case .silent: .silent
                }
        }

        /// Whether each draw chooses its class.
        var isUnknown: Bool { if case .silent = kind { classIndex == nil } else { false } }
    }

    /// An execution that has not begun.
    private struct QueuedExecution {
        let seconds: Double
        let classIndex: Int
    }

    init(_ classes: [WorkClass], _ running: [RunningWork], _ conditions: Conditions) {
        self.classes = classes
        self.conditions = conditions
        for index in classes.indices {
            self.classes[index].waiting = max(0, classes[index].left - classes[index].assigned) / classes[index].units
            self.classes[index].waitingTasks.sort()
        }
        var observed: [Double] = []
        durations = self.classes.map { ClassDurations($0, taskSpread: conditions.taskSpread, observed: &observed) }
        self.observed = observed
        let step = Double(running.count) / Double(RunningWorkBuilder.simulatedMax)
        if step > 1 {
            self.running = (0..<RunningWorkBuilder.simulatedMax).map { running[Int(Double($0) * step)] }
            scale = 1 / step
            for index in classes.indices { self.classes[index].waiting *= scale }
        } else {
            self.running = running
            scale = 1
        }
        unseenDeviation = Self.unseenDeviation(classes)
        waitingAtFirst = self.classes.map(\.waiting)
        let queued = min(Self.queueMax, waitingAtFirst.reduce(0, +))
        let size = Double(classes.count + self.running.count) + queued
        drawTotal = Self.drawCount / (size > Self.sizes.third ? 3 : size > Self.sizes.half ? 2 : 1)
        dropLost()
        executions = self.running.map { Execution($0) }
        plausibilities = executions.flatMap { plausibilities(of: $0) }
        weights = Array(repeating: 0, count: durations.count)
    }

    /// Leaves out the oldest silent executions if fewer executions are left.
    ///
    /// An execution that was lost never ends; the work that it had is left, or others have done it.
    private mutating func dropLost() {
        let left = classes.reduce(0) { $0 + $1.waiting }.rounded(.up)
        let silent = running.filter { if case .silent = $0.kind { $0.classIndex == nil } else { false } }.count
        guard left >= 1, Double(silent) > left else { return }
        var surplus = silent - Int(left)
        running.removeAll { work in
            guard surplus > 0, case .silent = work.kind, work.classIndex == nil else { return false }
            surplus -= 1
            return true
        }
    }

    /// The plausibility of each class for an execution; none if its class is known.
    ///
    /// It is the waiting work times the probability that an execution lasts at least as long.
    private func plausibilities(of execution: Execution) -> [Double] {
        guard execution.isUnknown else { return [] }
        return classes.indices.map { candidate in
            guard classes[candidate].waiting > 0 else { return 0 }
            let (mean, deviation) = classes[candidate].normal
            let z = (execution.logarithmOfAge - mean) / deviation
            return classes[candidate].waiting * survival(z, deviation) + 1e-12
        }
    }

    /// The share of executions beyond a number of standard deviations.
    ///
    /// Outliers are included.
    private func survival(_ z: Double, _ deviation: Double) -> Double {
        (1 - Self.outlierRate) * (z < 6 ? z.normalSurvival : 0) + Self.outlierRate * outlierTail(z, deviation)
    }

    func outlierTail(_ z: Double, _ deviation: Double) -> Double {
        z < 0 ? 1 : (-0.7 * z * deviation).exponential
    }

    /// Returns the draws.
    mutating func run() -> [Draw] { (0..<drawTotal).map { draw($0) } }

    // MARK: One draw

    private mutating func draw(_ number: Int) -> Draw {
        random = RandomSequence(seed: UInt64(number) * 1_000_003 + 17)
        let position = (Double(number) + 0.5) / Double(drawTotal)
        let speedShift =
            ((position + 0.37).fraction * 0.998 + 0.001).normalQuantile * conditions.speed.variance.squareRoot()
        drawClasses(position)
        chooseClasses()
        factors.removeAll(keepingCapacity: true)
        for mean in means { factors.append(mean.exponential) }
        ends.removeAll(keepingCapacity: true)
        for number in executions.indices { ends.append(residual(of: number, speedShift: speedShift)) }
        let growthSeconds = drawGrowth()
        var fluid = fillQueue(speedShift: speedShift)
        let failures = conditions.failureRate / (1 - conditions.failureRate)
        fluid *= 1 + 0.55 * failures
        repeatFailures(expected: Double(queue.count + ends.count) * failures)
        shuffleQueue()
        var result = schedule(fluid: fluid)
        result.seconds = max(result.seconds, growthSeconds)
        if let idle = conditions.idle { result.seconds += min(20 * idle, pareto(idle)) }
        if unseenDeviation > 0 {
            let z = (position + 0.71).fraction.clamped(to: 1e-3...(1 - 1e-3)).normalQuantile
            result.seconds *= (unseenDeviation * z).exponential
        }
        return result
    }

    /// Draws the rest of an outlier of this age: any multiple of the age.
    mutating func pareto(_ age: Double) -> Double {
        age * (random.uniform().raised(to: -1 / Self.outlierExponent) - 1)
    }

    /// The doubt about work of a kind not seen yet: its order and its dependencies.
    ///
    /// The standard deviation of the logarithm of the remaining time.
    private static func unseenDeviation(_ classes: [WorkClass]) -> Double {
        let all = classes.reduce(0) { $0 + $1.executions }
        let unseen = classes.filter { !$0.isSampled && $0.reporters <= 0 }.reduce(0) { $0 + $1.executions }
        return all > 0 ? 0.5 * (unseen / all).squareRoot() : 0
    }

    private mutating func drawClasses(_ position: Double) {
        means.removeAll(keepingCapacity: true)
        waiting.removeAll(keepingCapacity: true)
        hasBegun.removeAll(keepingCapacity: true)
        let known = conditions.pool.means
        var sampledWaiting = 0.0
        for index in durations.indices {
            let u = (position + Double(index) * 0.6180339887).fraction
            let z = u.clamped(to: 1e-4...(1 - 1e-4)).normalQuantile
            waiting.append(waitingAtFirst[index])
            hasBegun.append(true)
            if durations[index].isSampled {
                means.append(z * durations[index].meanDeviation)
                sampledWaiting += waiting[index]
            } else if durations[index].isFree, known.count >= 5 {
                // With five labels or more, another label is like one of them.
                means.append(known[min(known.count - 1, Int(u * Double(known.count)))] + 0.8 * random.normal())
            } else {
                means.append(durations[index].mean + z * durations[index].meanDeviation)
            }
        }
        guard sampledWaiting >= 1 else { return }
        for index in durations.indices where !durations[index].isSampled {
            hasBegun[index] = random.uniform() < Self.begunProbability
        }
    }

    /// Chooses a class for each execution without one, from the waiting executions.
    private mutating func chooseClasses() {
        oldest.removeAll(keepingCapacity: true)
        availabilities.removeAll(keepingCapacity: true)
        for index in durations.indices {
            oldest.append(0)
            availabilities.append(availability(of: index))
        }
        chosenClasses.removeAll(keepingCapacity: true)
        var first = 0
        for execution in executions {
            guard execution.isUnknown else {
                chosenClasses.append(execution.classIndex)
                continue
            }
            let chosen = chooseClass(first)
            first += durations.count
            if let chosen {
                waiting[chosen] = max(0, waiting[chosen] - 1)
                availabilities[chosen] = availability(of: chosen)
                if !durations[chosen].isSampled { oldest[chosen] = max(oldest[chosen], execution.age) }
            }
            chosenClasses.append(chosen)
        }
        for index in durations.indices where oldest[index] > 0 && durations[index].isFree {
            outlast(oldest[index], in: index)
        }
    }

    /// Chooses a class by its weight.
    ///
    /// - Parameter first: The index of the plausibility of the first class.
    private mutating func chooseClass(_ first: Int) -> Int? {
        var total = 0.0
        for index in weights.indices {
            weights[index] = plausibilities[first + index] * availabilities[index]
            total += weights[index]
        }
        guard total > 0 else { return nil }
        var rest = random.uniform() * total
        var chosen: Int?
        for (index, weight) in weights.enumerated() where weight > 0 {
            chosen = index
            rest -= weight
            if rest <= 0 { break }
        }
        return chosen
    }

    private func availability(of index: Int) -> Double {
        waiting[index] > 1e-9 ? min(1, waiting[index]) * (hasBegun[index] ? 1 : 1e-6) : 0
    }

    /// Draws the mean of a class again, given that its executions last longer.
    private mutating func outlast(_ age: Double, in index: Int) {
        let work = durations[index]
        let spread = (work.meanDeviation.squared + work.deviation.squared).squareRoot()
        let logarithm = age.naturalLogarithm
        let z = (logarithm - work.mean) / spread
        let u = random.uniform()
        if z < 1 {
            let below = 1 - z.normalSurvival
            means[index] = work.mean + spread * (below + (1 - below) * u).clamped(to: 1e-4...(1 - 1e-4)).normalQuantile
        } else {
            // Far beyond the expected, the best guess is as long again (Lindy).
            means[index] = logarithm - (1 - u * 0.999).naturalLogarithm
        }
    }

    /// Draws the time of further growth of totals, and adds the growth to the work.
    ///
    /// - Returns: The seconds that the growth lasts.
    private mutating func drawGrowth() -> Double {
        var longest = 0.0
        for growth in conditions.growth {
            let more = min(20 * growth.span, growth.span * (1 / random.uniform() - 1) - growth.since)
            guard more > 0 else { continue }
            if let index = growth.classIndex {
                waiting[index] += growth.rate * more / growth.units * scale
            }
            longest = max(longest, more)
        }
        return longest
    }

    /// Draws the executions that have not begun.
    ///
    /// - Returns: The seconds of those beyond ``queueMax``, which are divided among the workers.
    private mutating func fillQueue(speedShift: Double) -> Double {
        queue.removeAll(keepingCapacity: true)
        let count = waiting.reduce(0, +)
        let fluidShare = count > Self.queueMax ? (count - Self.queueMax) / count : 0
        var fluid = 0.0
        for index in durations.indices where waiting[index] > 1e-6 {
            let rest = waiting[index] * (1 - fluidShare)
            if fluidShare > 0 { fluid += waiting[index] * fluidShare * meanSeconds(of: index) }
            var whole = Int(rest)
            if random.uniform() < rest - Double(whole) { whole += 1 }
            let tasks = classes[index].waitingTasks
            let taskCount = Double(tasks.count)
            if fluidShare == 0, taskCount > 0, (0.7 * waiting[index]...1.5 * waiting[index] + 1).contains(taskCount) {
                for number in 0..<whole {
                    let usual = tasks.count == whole ? tasks[number] : tasks[random.index(below: tasks.count)]
                    let seconds = knownSeconds(usual, in: index, speedShift: speedShift)
                    queue.append(QueuedExecution(seconds: seconds, classIndex: index))
                }
            } else {
                for _ in 0..<whole {
                    queue.append(QueuedExecution(seconds: freshSeconds(of: index), classIndex: index))
                }
            }
        }
        return fluid
    }

    private func meanSeconds(of index: Int) -> Double {
        durations[index].isSampled
            ? durations[index].meanSeconds * factors[index]
            : factors[index] * (0.5 * min(1, durations[index].deviation.squared)).exponential
    }

    /// The number of executions that fail and run again, each for a part of a duration.
    private mutating func repeatFailures(expected: Double) {
        guard !queue.isEmpty else { return }
        var count = 0
        if expected < 30 {
            // Poisson (Knuth).
            let limit = (-expected).exponential
            var product = random.uniform()
            while product > limit {
                count += 1
                product *= random.uniform()
            }
        } else {
            count = max(0, Int(expected + expected.squareRoot() * random.normal()))
        }
        for _ in 0..<min(count, 4 * Int(Self.queueMax)) {
            let failed = queue[random.index(below: queue.count)]
            queue.append(
                QueuedExecution(seconds: failed.seconds * random.uniform(), classIndex: failed.classIndex))
        }
    }

    private mutating func shuffleQueue() {
        guard queue.count > 1 else { return }
        for end in stride(from: queue.count, to: 1, by: -1) { queue.swapAt(end - 1, random.index(below: end)) }
    }

    /// Runs the queue on the workers, each as soon as it is free.
    private mutating func schedule(fluid: Double) -> Draw {
        let workers = max(1, ends.isEmpty ? Int(conditions.usualWorkers.rounded()) : ends.count)
        let share = fluid / Double(workers)
        var result = Draw()
        for index in ends.indices {
            ends[index] += share
            if ends[index] >= result.seconds {
                result = Draw(seconds: ends[index], classIndex: chosenClasses[index], running: index)
            }
        }
        while ends.count < workers { ends.append(share) }
        workerHeap.fill(ends)
        if share > result.seconds { result = Draw(seconds: share) }
        var last: (seconds: Double, classIndex: Int?) = (result.seconds, nil)
        workerHeap.addToFirst(queue.lazy.map(\.seconds)) { number, end in
            if end > last.seconds { last = (end, queue[number].classIndex) }
        }
        if let index = last.classIndex { result = Draw(seconds: last.seconds, classIndex: index) }
        return result
    }
}
