/// Simulates the rest of a job many times, with random durations.
///
/// The random numbers are the same for every job and moment. Successive estimates therefore differ only by what has
/// happened between them.
struct CompletionSimulation {
    /// The inputs besides the classes and the running executions.
    struct Conditions {
        let now: Timestamp
        /// The seconds since the job's first execution.
        let elapsed: Double
        let pool: DurationPool
        let speed: JobSpeed
        /// The standard deviation of the logarithm of a known task's duration.
        ///
        /// It is the deviation from job to job.
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
    /// Twice as many draws lower the error factor on the ten synthetic kinds of jobs by 0.4 %. On the other measured
    /// jobs they change nothing.
    private static let drawCount = 48
    /// The sizes of a draw beyond which there are half as many draws, and a third.
    ///
    /// The size is the number of classes and executions. The sum of many durations varies less from draw to draw.
    private static let sizes = (half: 64.0, third: 256.0)
    /// The seed of the first draw, and the step from each to the next.
    private static let (seedOffset, seedStep): (UInt64, UInt64) = (17, 1_000_003)
    /// The maximum number of waiting executions that are simulated one by one.
    ///
    /// The time of the others is divided among the workers. With fewer, the quantiles vary more; with more, nothing is
    /// gained.
    private static let queueMax = 200.0
    /// The probability of an outlier.
    ///
    /// Values from 0.005 to 0.03 gave the same measured error. Chosen separately from that of ``AdvanceModel``.
    static let outlierRate = 0.02
    /// The exponent of the Pareto distribution of an outlier's residual time.
    ///
    /// Values from 1 to 2.5 gave the same measured error.
    private static let outlierExponent = 1.5
    /// The range of the positions of durations.
    ///
    /// A *position* is a number from 0 to 1 of which the quantile is taken. The quantiles of 0 and 1 are infinite.
    static let quantileRange = 1e-6...(1 - 1e-7)
    /// The shifts from a draw's position to that of its speed and of unseen work.
    ///
    /// The first class has the draw's position itself. So the three are not extreme in the same draws.
    private static let (speedPhase, unseenPhase) = (0.37, 0.71)
    /// The width of the range of the positions of the speed, and its beginning.
    ///
    /// The quantiles of 0 and 1 are infinite.
    private static let speedPositions = (width: 0.998, first: 0.001)
    /// The range of the positions of unseen work, for the same reason.
    private static let unseenRange = 1e-3...(1 - 1e-3)
    /// The part of a duration that a failed execution takes.
    ///
    /// It holds for the executions beyond ``queueMax``, and was found by experiment. A failed execution in the queue
    /// takes half of a duration on average.
    private static let failedShare = 0.55
    /// The deviation of the result's logarithm if no kind of work was seen yet.
    private static let unseenDeviationMax = 0.5
    /// The maximum of growth and of pauses, as a multiple of how long they have lasted.
    private static let extrapolationMax = 20.0
    /// The waiting executions from which a class is queued.
    private static let queuedMin = 1e-6
    /// The largest variance used to compute a guessed class's mean from its median.
    private static let meanVarianceMax = 1.0
    /// The expected number of failures from which the normal approximation is used.
    private static let poissonMax = 30.0
    /// The maximum number of repeated executions, as a multiple of ``queueMax``.
    private static let repeatsMax = 4
    /// The limits of the number of waiting tasks with usual durations.
    ///
    /// These durations are drawn only if the number is plausible: at least `few` times the class's waiting executions,
    /// and at most `many` times as many and ``tasksBeyond``.
    private static let taskShares = (few: 0.7, many: 1.5)
    /// The tasks by which the upper limit exceeds its share.
    private static let tasksBeyond = 1.0

    private(set) var classes: [WorkClass]
    private(set) var running: [RunningWork]
    /// The same executions, as draws need them.
    private(set) var inputs: [RunningInput] = []
    /// The plausibilities of the classes, for each execution of an unknown class.
    private(set) var plausibilities: [Double] = []
    let conditions: Conditions
    /// The part of the work that is simulated; 1 unless too many executions run.
    private let scale: Double
    private let drawTotal: Int
    /// The standard deviation of the result's logarithm because of unseen work.
    private let unseenDeviation: Double
    /// The executions of each class that have not begun.
    private(set) var waitingAtFirst: [Double] = []

    /// The durations of each class.
    let durations: [ClassDurations]
    /// The seconds from which durations are drawn, of all classes.
    let drawableSeconds: [Double]

    var state = DrawState()

    init(_ classes: [WorkClass], _ running: [RunningWork], _ conditions: Conditions) {
        self.classes = classes
        self.conditions = conditions
        for index in classes.indices {
            self.classes[index].waiting = max(0, classes[index].left - classes[index].assigned) / classes[index].units
            self.classes[index].waitingTasks.sort()
        }
        var seconds: [Double] = []
        durations = self.classes.map {
            ClassDurations($0, taskSpread: conditions.taskSpread, drawableSeconds: &seconds)
        }
        drawableSeconds = seconds
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
        inputs = self.running.map { RunningInput($0) }
        plausibilities = inputs.flatMap { plausibilities(of: $0) }
        state.weights = Array(repeating: 0, count: durations.count)
    }

    /// Leaves out the oldest executions of unknown class if too many of them run.
    ///
    /// It does so if more of them run than executions are waiting. An execution that was lost never ends; the work that
    /// it had is left, or others have done it.
    private mutating func dropLost() {
        let left = classes.reduce(0) { $0 + $1.waiting }.rounded(.up)
        let unknown = running.count { $0.isUnknown }
        guard left >= 1, Double(unknown) > left else { return }
        var surplus = unknown - Int(left)
        running.removeAll { work in
            guard surplus > 0, work.isUnknown else { return false }
            surplus -= 1
            return true
        }
    }

    /// Returns the draws.
    mutating func run() -> [Draw] { (0..<drawTotal).map { draw($0) } }

    // MARK: One draw

    /// Draws the rest of the job once.
    ///
    /// The order matters: ``chooseClasses()`` reduces the waiting executions, ``drawGrowth()`` increases them, and
    /// ``drawQueue(speedShift:)`` reads them.
    private mutating func draw(_ number: Int) -> Draw {
        state.random = RandomSequence(seed: UInt64(number) * Self.seedStep + Self.seedOffset)
        let position = (Double(number) + 0.5) / Double(drawTotal)
        let speedPosition =
            (position + Self.speedPhase).fraction * Self.speedPositions.width + Self.speedPositions.first
        // The deviation of this draw from the estimated speed, added to the logarithms of usual durations.
        let speedShift = speedPosition.normalQuantile * conditions.speed.variance.squareRoot()
        drawClassMeans(position)
        chooseClasses()
        drawRunning(speedShift: speedShift)
        let growthSeconds = drawGrowth()
        let dividedSeconds = drawQueue(speedShift: speedShift)
        var result = schedule(dividedSeconds: dividedSeconds)
        result.seconds = drawEnd(max(result.seconds, growthSeconds), position)
        return result
    }

    /// Draws the rest of each running execution.
    private mutating func drawRunning(speedShift: Double) {
        state.factors.removeAll(keepingCapacity: true)
        for logFactor in state.logFactors { state.factors.append(logFactor.exponential) }
        state.ends.removeAll(keepingCapacity: true)
        for index in inputs.indices { state.ends.append(residual(of: index, speedShift: speedShift)) }
    }

    /// Draws the executions that have not begun, and those that are repeated.
    ///
    /// Their order is random.
    ///
    /// - Returns: The seconds of those beyond ``queueMax``, which are divided among the workers.
    private mutating func drawQueue(speedShift: Double) -> Double {
        let failures = conditions.failureRate / (1 - conditions.failureRate)
        let dividedSeconds = fillQueue(speedShift: speedShift) * (1 + Self.failedShare * failures)
        repeatFailures(expected: Double(state.queue.count + state.ends.count) * failures)
        shuffleQueue()
        return dividedSeconds
    }

    /// Draws the seconds until the end of the job.
    ///
    /// An idle time is added. Work of a kind not seen yet makes the result longer or shorter.
    private mutating func drawEnd(_ executionSeconds: Double, _ position: Double) -> Double {
        var seconds = executionSeconds
        if let idle = conditions.idle { seconds += min(Self.extrapolationMax * idle, pareto(idle)) }
        if unseenDeviation > 0 {
            let unseenPosition = (position + Self.unseenPhase).fraction.clamped(to: Self.unseenRange)
            seconds *= (unseenDeviation * unseenPosition.normalQuantile).exponential
        }
        return seconds
    }

    /// Draws the rest of an outlier: age times a Pareto-distributed number less 1.
    mutating func pareto(_ age: Double) -> Double {
        age * (state.random.uniform().raised(to: -1 / Self.outlierExponent) - 1)
    }

    /// The doubt about work of a kind not seen yet: its order and its dependencies.
    ///
    /// The standard deviation of the logarithm of the remaining time.
    private static func unseenDeviation(_ classes: [WorkClass]) -> Double {
        let all = classes.reduce(0) { $0 + $1.executions }
        let unseen = classes.filter { !$0.isSampled && $0.reporters <= 0 }.reduce(0) { $0 + $1.executions }
        return all > 0 ? unseenDeviationMax * (unseen / all).squareRoot() : 0
    }

    /// Draws the time of further growth of totals, and adds the growth to the work.
    ///
    /// Growth that has lasted `span` lasts x times as long again, or longer, with probability 1 / (1 + x).
    ///
    /// - Returns: The seconds that the growth lasts.
    private mutating func drawGrowth() -> Double {
        var longest = 0.0
        for growth in conditions.growth {
            let more = min(
                Self.extrapolationMax * growth.span, growth.span * (1 / state.random.uniform() - 1) - growth.since)
            guard more > 0 else { continue }
            if let index = growth.classIndex {
                state.waiting[index] += growth.rate * more / growth.units * scale
            }
            longest = max(longest, more)
        }
        return longest
    }

    /// Fills the queue with executions that have not begun.
    ///
    /// - Returns: The seconds of those beyond ``queueMax``, which are divided among the workers.
    private mutating func fillQueue(speedShift: Double) -> Double {
        state.queue.removeAll(keepingCapacity: true)
        let count = state.waiting.reduce(0, +)
        let dividedShare = count > Self.queueMax ? (count - Self.queueMax) / count : 0
        var dividedSeconds = 0.0
        for index in durations.indices where state.waiting[index] > Self.queuedMin {
            let rest = state.waiting[index] * (1 - dividedShare)
            if dividedShare > 0 { dividedSeconds += state.waiting[index] * dividedShare * meanSeconds(of: index) }
            var whole = Int(rest)
            if state.random.uniform() < rest - Double(whole) { whole += 1 }
            let tasks = classes[index].waitingTasks
            let taskCount = Double(tasks.count)
            let taskCounts =
                Self.taskShares.few * state.waiting[index]...Self.taskShares.many * state.waiting[index]
                + Self.tasksBeyond
            if dividedShare == 0, taskCount > 0, taskCounts.contains(taskCount) {
                for number in 0..<whole {
                    let usual = tasks.count == whole ? tasks[number] : tasks[state.random.index(below: tasks.count)]
                    let seconds = usualTaskSeconds(usual, in: index, speedShift: speedShift)
                    state.queue.append(QueuedExecution(seconds: seconds, classIndex: index))
                }
            } else {
                for _ in 0..<whole {
                    state.queue.append(QueuedExecution(seconds: freshSeconds(of: index), classIndex: index))
                }
            }
        }
        return dividedSeconds
    }

    private func meanSeconds(of index: Int) -> Double {
        durations[index].isSampled
            ? durations[index].meanSeconds * state.factors[index]
            : state.factors[index]
                * (0.5 * min(Self.meanVarianceMax, durations[index].deviation.squared)).exponential
    }

    /// Adds a random number of failed executions, each with a part of its duration.
    ///
    /// The parts are random as well.
    private mutating func repeatFailures(expected: Double) {
        guard !state.queue.isEmpty else { return }
        var count = 0
        if expected < Self.poissonMax {
            // Poisson (Knuth).
            let limit = (-expected).exponential
            var product = state.random.uniform()
            while product > limit {
                count += 1
                product *= state.random.uniform()
            }
        } else {
            count = max(0, Int(expected + expected.squareRoot() * state.random.normal()))
        }
        for _ in 0..<min(count, Self.repeatsMax * Int(Self.queueMax)) {
            let failed = state.queue[state.random.index(below: state.queue.count)]
            state.queue.append(
                QueuedExecution(seconds: failed.seconds * state.random.uniform(), classIndex: failed.classIndex))
        }
    }

    private mutating func shuffleQueue() {
        guard state.queue.count > 1 else { return }
        for end in stride(from: state.queue.count, to: 1, by: -1) {
            state.queue.swapAt(end - 1, state.random.index(below: end))
        }
    }

    /// Runs the queue on the workers, each as soon as it is free.
    ///
    /// All workers are occupied longer by equal shares of `dividedSeconds`.
    private mutating func schedule(dividedSeconds: Double) -> Draw {
        let workers = max(1, state.ends.isEmpty ? Int(conditions.usualWorkers.rounded()) : state.ends.count)
        let share = dividedSeconds / Double(workers)
        var result = Draw()
        for index in state.ends.indices {
            state.ends[index] += share
            if state.ends[index] >= result.seconds {
                result = Draw(seconds: state.ends[index], classIndex: state.chosenClasses[index], running: index)
            }
        }
        while state.ends.count < workers { state.ends.append(share) }
        state.workerHeap.fill(state.ends)
        if share > result.seconds { result = Draw(seconds: share) }
        var last: (seconds: Double, classIndex: Int?) = (result.seconds, nil)
        state.workerHeap.addToFirst(state.queue.lazy.map(\.seconds)) { index, end in
            if end > last.seconds { last = (end, state.queue[index].classIndex) }
        }
        if let index = last.classIndex { result = Draw(seconds: last.seconds, classIndex: index) }
        return result
    }
}
