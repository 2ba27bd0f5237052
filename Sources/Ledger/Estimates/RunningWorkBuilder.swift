/// Describes the running executions for the simulation.
struct RunningWorkBuilder {
    /// The executions that are simulated; of more, a regular sample.
    static let simulatedMax = 128
    /// The least number of parts of an execution that are considered.
    ///
    /// Beyond it, at most so many parts of all executions are. It keeps an estimate of many executions with many labels
    /// below 2 ms.
    private static let considered = (partsMin: 6, partsInAllMax: 3_072)
    /// The most units that are about as many as others do, per mean units.
    private static let alikeUnitsFactor = 1.5

    private let executions: [RunningExecution]
    private let now: Timestamp
    /// The time of the job's first execution.
    let startedAt: Timestamp
    private(set) var labels: [LabelWork]
    /// The number of executions that have done units on each label.
    private(set) var reporters: [Double]
    /// The maximum number of parts of an execution that are considered.
    private let partsMax: Int
    /// The index in `labels` of each indicator.
    private let labelIndices: [IndicatorID: Int]
    private let history: EstimateHistory?
    let speed: JobSpeed
    /// The seconds and units of announced running executions by label, for their pace.
    private(set) var paces: [(seconds: Double, units: Double)]

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
        partsMax = max(Self.considered.partsMin, Self.considered.partsInAllMax / max(1, executions.count))
        for execution in executions {
            for part in execution.parts.suffix(partsMax) where part.done > 0 {
                guard let label = labelIndices[part.indicator] else { continue }
                reporters[label] += 1
                guard execution.beginsBeforeFirstUnit else { continue }
                paces[label].seconds += Double(secondsOf: part.microseconds)
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
                seconds += Double(secondsOf: part.microseconds) + left * pace(execution, part, label).secondsPerUnit
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
            seconds += Double(secondsOf: part.microseconds) + rest
            units += Double(part.done) + left
            parts.append(PartRest(label: label, left: left, seconds: rest, doubt: pace.doubt, isGuessed: false))
        }
        guard !parts.isEmpty, execution.parts.contains(where: { $0.total > 0 && $0.done > 0 }) else { return parts }
        let (begun, secondsPerUnit) = (Double(parts.count), seconds / max(1, units))
        for part in execution.parts.suffix(partsMax) where part.done == 0 && part.total > 0 {
            guard let label = labelIndices[part.indicator] else { continue }
            let work = labels[label]
            let left = min(Double(part.total), work.left)
            guard left > 0, work.done <= 0 || work.meanUnits.map({ left <= Self.alikeUnitsFactor * $0 }) ?? false
            else { continue }
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
        work.kind = .usualDuration(logarithm: task.logarithm)
    }

    private func reporting(
        _ execution: RunningExecution, _ shown: RunningExecution.Part, _ label: Int, _ parts: [PartRest]
    ) -> RunningWork.Reporting {
        let gap = now.seconds(since: execution.lastAdvance ?? execution.startedAt)
        let advances = Double(execution.advances)
        if parts.count == 1, let part = parts.first {
            // If all units of its label are done, it is about to end.
            guard labels[label].classIndex != nil else { return RunningWork.Reporting(gap: gap) }
            return RunningWork.Reporting(
                left: part.left, pace: part.left > 0 ? part.seconds / part.left : 0, gap: gap, advances: advances,
                unitsPerReport: Double(shown.done) / max(1, advances), doubt: part.doubt)
        }
        // Of several labels, the common unit is a report.
        let seconds = parts.reduce(0) { $0 + $1.seconds }
        let spent = execution.parts.reduce(0) { $0 + Double(secondsOf: $1.microseconds) }
        let perReport = max(spent / max(1, advances), LogDuration.secondsMin)
        let doubt = parts.reduce(0) { $0 + $1.seconds * ($1.isGuessed ? Self.guessDeviation : $1.doubt) }
        return RunningWork.Reporting(
            left: seconds / perReport, pace: perReport, gap: gap, advances: advances,
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
}
