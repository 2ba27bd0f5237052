/// A running execution, as the simulation sees it.
struct RunningWork {
    let execution: ExecutionID
    /// The seconds since its start.
    let age: Double
    /// The logarithm of the age.
    let logarithmOfAge: Double
    /// Its class; nil if it has not shown on which label it works.
    var classIndex: Int?
    /// The label that it works on; nil if it has not shown it.
    var label: Name?
    var kind: Kind

    /// Whether nothing shows its class, so that each draw chooses one.
    var isUnknown: Bool { if case .silent = kind { classIndex == nil } else { false } }

    /// The knowledge about the rest of an execution.
    enum Kind {
        /// It has reported units done.
        case reporting(Reporting)
        /// Its task has a usual duration in history: the mean of the logarithm.
        case known(Double)
        /// It has reported nothing: its age is all there is.
        case silent
    }

    /// The rest of an execution that reports.
    struct Reporting {
        /// The units left.
        var left = 0.0
        /// Seconds per unit.
        var pace = 0.0
        /// The seconds since its last report.
        var gap = 0.0
        /// The number of its reports.
        var reports = 1.0
        /// The mean units per report.
        var unitsPerReport = 1.0
        /// The standard deviation of the rest's logarithm beyond that of the reports.
        ///
        /// The execution has not begun on some labels, or its pace is not the usual one.
        var doubt = 0.0
    }
}

/// The work of one execution on one label.
///
/// Running executions show it, before the first one has ended.
struct TypicalPart {
    /// The mean seconds, those to come included.
    let seconds: Double
    /// The mean seconds per unit.
    let secondsPerUnit: Double
    /// The number of executions that report.
    let executions: Double
}

/// Describes the running executions for the simulation.
struct RunningWorkBuilder {
    /// The executions that are simulated; of more, a regular sample.
    static let simulatedMax = 128

    private let executions: [RunningExecution]
    private let now: Timestamp
    private let startedAt: Timestamp
    private var labels: [LabelWork]
    /// The number of executions that have done units on each label.
    private var reporters: [Double]
    /// The maximum number of parts of an execution that are considered.
    ///
    /// It keeps an estimate of many executions with many labels below 2 ms.
    private let partsMax: Int
    /// The index in `labels` of each indicator.
    private let labelIndices: [IndicatorID: Int]
    private let history: EstimateHistory?
    private let speed: JobSpeed
    /// The seconds and units of announced running executions by label, for their pace.
    private var paces: [(seconds: Double, units: Double)]

    /// - Parameter executions: The running executions that do not plan the work of others.
    init(
        _ executions: [RunningExecution], _ labels: [LabelWork], _ history: EstimateHistory?, _ speed: JobSpeed,
        at now: Timestamp, startedAt: Timestamp
    ) {
        self.executions = executions
        self.labels = labels
        self.history = history
        self.speed = speed
        self.now = now
        self.startedAt = startedAt
        var indices: [IndicatorID: Int] = [:]
        for index in labels.indices { if let pattern = labels[index].pattern { indices[pattern.indicator] = index } }
        labelIndices = indices
        paces = labels.map { _ in (0, 0) }
        reporters = labels.map { _ in 0 }
        partsMax = max(6, 3_072 / max(1, executions.count))
        for execution in executions {
            for part in execution.parts.suffix(partsMax) where part.done > 0 {
                guard let label = labelIndices[part.indicator] else { continue }
                reporters[label] += 1
                guard execution.isAnnounced else { continue }
                paces[label].seconds += Double(part.microseconds) / 1e6
                paces[label].units += Double(part.done)
            }
        }
    }

    /// The work of an execution on a label, as far as those that report show it.
    ///
    /// Nil if none does, and if executions have ended: they show more.
    var typicalPart: TypicalPart? {
        guard !labels.contains(where: { $0.hasSamples }) else { return nil }
        var (seconds, units, parts, reporting) = (0.0, 0.0, 0.0, 0.0)
        for execution in executions where execution.advances > 0 {
            reporting += 1
            for part in execution.parts.suffix(partsMax) where part.done > 0 {
                guard let label = labelIndices[part.indicator] else { continue }
                let left = unitsLeft(of: part, label)
                seconds += Double(part.microseconds) / 1e6 + left * pace(execution, part, label).secondsPerUnit
                units += Double(part.done) + left
                parts += 1
            }
        }
        guard parts > 0, seconds > 0 else { return nil }
        return TypicalPart(seconds: seconds / parts, secondsPerUnit: seconds / units, executions: reporting)
    }

    /// The shown part of an execution, with the index of its label.
    private func shownPart(of execution: RunningExecution) -> (label: Int, part: RunningExecution.Part)? {
        guard let part = execution.shownPart, let label = labelIndices[part.indicator] else { return nil }
        return (label, part)
    }

    /// Returns the running executions, and adds their units to their classes.
    ///
    /// - Parameter labels: The labels with their classes.
    mutating func running(in classes: inout [WorkClass], of labels: [LabelWork]) -> [RunningWork] {
        self.labels = labels
        for label in labels.indices {
            if let index = labels[label].classIndex { classes[index].reporters += reporters[label] }
        }
        return executions.map { execution in describe(execution, &classes) }
    }

    private func describe(_ execution: RunningExecution, _ classes: inout [WorkClass]) -> RunningWork {
        let age = now.seconds(since: execution.startedAt)
        var work = RunningWork(
            execution: execution.id, age: age, logarithmOfAge: max(age, LogDuration.secondsMin).naturalLogarithm,
            kind: .silent)
        if let (label, part) = shownPart(of: execution) {
            work.label = labels[label].label
            work.classIndex = labels[label].classIndex
            if part.done > 0 {
                let parts = parts(of: execution)
                work.kind = .reporting(reporting(execution, part, label, parts))
                for part in parts {
                    guard let index = labels[part.label].classIndex else { continue }
                    classes[index].assigned += part.left
                    if part.isGuessed { classes[index].reporters += 1 }
                }
            } else if let index = work.classIndex {
                classes[index].assigned += part.total > 0 ? Double(part.total) : classes[index].units
            }
        }
        if speed.tasksAreKnown, case .silent = work.kind { recognise(execution, &work, &classes) }
        return work
    }

    // MARK: The rest of an execution

    /// The rest of an execution on one label.
    private struct PartRest {
        /// The index of the label.
        let label: Int
        /// The units left.
        let left: Double
        /// The seconds that they will take.
        let seconds: Double
        /// The standard deviation of their logarithm because of an unusual pace.
        let doubt: Double
        /// Whether the execution has not begun on the label.
        let isGuessed: Bool
    }

    /// The rest of an execution that reports, by label.
    ///
    /// An execution may work on several labels, at once or one after another. It has declared further ones for itself
    /// if it does what it declares, and if no other execution has done units on them, or if others do about as much.
    private func parts(of execution: RunningExecution) -> [PartRest] {
        var parts: [PartRest] = []
        var (seconds, units) = (0.0, 0.0)
        for part in execution.parts.suffix(partsMax) where part.done > 0 {
            guard let label = labelIndices[part.indicator] else { continue }
            let left = unitsLeft(of: part, label)
            let pace = pace(execution, part, label)
            let rest = left * pace.secondsPerUnit
            seconds += Double(part.microseconds) / 1e6 + rest
            units += Double(part.done) + left
            parts.append(PartRest(label: label, left: left, seconds: rest, doubt: pace.doubt, isGuessed: false))
        }
        guard !parts.isEmpty, execution.parts.contains(where: { $0.total > 0 && $0.done > 0 }) else { return parts }
        let (begun, secondsPerUnit) = (Double(parts.count), seconds / max(1, units))
        for part in execution.parts.suffix(partsMax) where part.done == 0 && part.total > 0 {
            guard let label = labelIndices[part.indicator] else { continue }
            let work = labels[label]
            let left = min(Double(part.total), work.left)
            guard left > 0, work.done <= 0 || work.meanUnits.map({ left <= 1.5 * $0 }) ?? false else { continue }
            let usual = usualPace(of: label, without: (0, 0)).secondsPerUnit
            // Labels of one execution take alike long, or their units do: whatever is shorter.
            let guess = usual > 0 ? left * usual : min(seconds / begun, left * secondsPerUnit)
            parts.append(PartRest(label: label, left: left, seconds: guess, doubt: 0, isGuessed: usual <= 0))
        }
        return parts
    }

    /// Uses the usual duration of the execution's task.
    private func recognise(_ execution: RunningExecution, _ work: inout RunningWork, _ classes: inout [WorkClass]) {
        guard let task = history?.tasks[execution.taskKey],
            let label = labels.first(where: { $0.key == task.label }), let index = label.classIndex,
            work.classIndex == nil || work.classIndex == index
        else { return }
        if work.classIndex == nil {
            work.classIndex = index
            work.label = label.label
            classes[index].assigned += classes[index].units
        }
        work.kind = .known(task.logarithm)
    }

    private func reporting(
        _ execution: RunningExecution, _ shown: RunningExecution.Part, _ label: Int, _ parts: [PartRest]
    ) -> RunningWork.Reporting {
        let gap = now.seconds(since: execution.lastAdvance ?? execution.startedAt)
        let reports = Double(execution.advances)
        if parts.count == 1, let part = parts.first {
            // If all units of its label are done, it is about to end.
            guard labels[label].classIndex != nil else { return RunningWork.Reporting(gap: gap) }
            return RunningWork.Reporting(
                left: part.left, pace: part.left > 0 ? part.seconds / part.left : 0, gap: gap, reports: reports,
                unitsPerReport: Double(shown.done) / max(1, reports), doubt: part.doubt)
        }
        // Of several labels, the common unit is a report.
        let seconds = parts.reduce(0) { $0 + $1.seconds }
        let spent = execution.parts.reduce(0) { $0 + Double($1.microseconds) / 1e6 }
        let perReport = max(spent / max(1, reports), LogDuration.secondsMin)
        let doubt = parts.reduce(0) { $0 + $1.seconds * ($1.isGuessed ? Self.guessDeviation : $1.doubt) }
        return RunningWork.Reporting(
            left: seconds / perReport, pace: perReport, gap: gap, reports: reports,
            doubt: seconds > 0 ? doubt / seconds : 0)
    }

    /// The standard deviation of the logarithm of a guessed time.
    private static let guessDeviation = 0.5

    /// The units that an execution will still do on a label on which it has begun.
    private func unitsLeft(of part: RunningExecution.Part, _ label: Int) -> Double {
        let (work, done) = (labels[label], Double(part.done))
        // A total that is too large for its type says nothing.
        let isKnown = part.total > 0 && part.total < .max
        let left: Double =
            if isKnown {
                Double(max(0, part.total - part.done))
            } else if let units = work.meanUnits {
                max(0, units - done)
            } else {
                work.left / max(1, reporters[label])
            }
        return min(left, work.left)
    }

    /// The seconds per unit of an execution.
    ///
    /// The doubt is the standard deviation of their logarithm if they are not the usual ones.
    ///
    /// Its own pace is shrunk to that of its label, which counts like 2 reports, or to that of history, like 4.
    private func pace(
        _ execution: RunningExecution, _ part: RunningExecution.Part, _ label: Int
    ) -> (secondsPerUnit: Double, doubt: Double) {
        let seconds = secondsWithoutPause(execution, part)
        // A number that is too large for its type is smaller than the sum of the snapshot.
        let done = part.done < .max ? Double(part.done) : labels[label].done / max(1, reporters[label])
        guard execution.isAnnounced else {
            // Its time before the first report is unknown.
            let isFirst = execution.parts.first { $0.done > 0 }?.indicator == part.indicator
            let later = done - (isFirst ? Double(execution.firstUnits) : 0)
            let own =
                later > 0
                ? seconds / later
                : max(LogDuration.secondsMin, execution.startedAt.seconds(since: startedAt)) / done
            return (own, 0)
        }
        let own = seconds / done
        let usual = usualPace(of: label, without: (Double(part.microseconds) / 1e6, done))
        guard usual.secondsPerUnit > 0 else { return (own, 0) }
        let reports = Double(execution.advances)
        let weight = usual.isHistory ? 4 * Self.irregularity(seconds, execution) : 2
        let logarithms = (
            own: max(own, Self.paceMin).naturalLogarithm,
            usual: max(usual.secondsPerUnit, Self.paceMin).naturalLogarithm
        )
        let share = weight / (reports + weight)
        let difference = logarithms.usual - logarithms.own
        return (
            (logarithms.own + share * difference).exponential,
            usual.isHistory ? min(1, share * difference.magnitude) : 0
        )
    }

    /// The shortest time of a unit, in seconds: units may be bytes, or smaller.
    private static let paceMin = 1e-30

    /// The usual seconds per unit of a label; 0 if unknown.
    ///
    /// - Parameter own: Those of one execution, which are left out.
    private func usualPace(
        of label: Int, without own: (seconds: Double, units: Double)
    ) -> (secondsPerUnit: Double, isHistory: Bool) {
        var pool = (seconds: paces[label].seconds - own.seconds, units: paces[label].units - own.units)
        if let pattern = labels[label].pattern {
            pool.seconds += Double(pattern.microseconds) / 1e6
            pool.units += Double(pattern.units)
        }
        if pool.units > 0, pool.seconds > 0 { return (pool.seconds / pool.units, false) }
        guard let known = labels[label].known, !known.quantiles.isEmpty, known.units > 0 else { return (0, false) }
        let mean = known.quantiles.reduce(0) { $0 + $1.logarithm } / Double(known.quantiles.count)
        return ((mean + speed.logarithm).exponential / known.units, true)
    }

    /// The conditions of a pause: the number of reports, and its length.
    ///
    /// The length is a multiple of the mean time of the other reports.
    ///
    /// Of a hundred lognormal times with a deviation of 1.5, the longest is fourteen times as long as the mean.
    private static let pause = (reportsMin: 10.0, factor: 20.0)

    /// The seconds that an execution spent on a label.
    ///
    /// A pause counts like any other report.
    ///
    /// A machine that slept, or a job that was stopped for a while, says nothing about the pace afterwards.
    private func secondsWithoutPause(_ execution: RunningExecution, _ part: RunningExecution.Part) -> Double {
        let seconds = Double(part.microseconds) / 1e6
        let quiet = Double(execution.longestQuiet) / 1e6
        guard seconds > quiet else { return seconds }
        let reports = Double(execution.advances) / Double(max(1, execution.parts.count { $0.done > 0 }))
        guard reports >= Self.pause.reportsMin else { return seconds }
        let mean = (seconds - quiet) / (reports - 1)
        return quiet > Self.pause.factor * mean ? seconds - quiet + mean : seconds
    }

    /// The variance of an execution's times between reports.
    ///
    /// It is that of the logarithm, relative to the expected 0.49.
    ///
    /// The expected one counts like two reports. The longest time shows the variance of the others.
    private static func irregularity(_ seconds: Double, _ execution: RunningExecution) -> Double {
        let reports = Double(execution.advances)
        guard reports >= 2, seconds > 0 else { return 1 }
        let longest = max(1, Double(execution.longestQuiet) / 1e6 / (seconds / reports)).naturalLogarithm
        return min(1, (2 + reports * longest.squared / 0.49) / (2 + reports))
    }
}
