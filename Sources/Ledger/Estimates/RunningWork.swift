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
    }
}

/// Describes the running executions for the simulation.
struct RunningWorkBuilder {
    /// The executions that are simulated; of more, a regular sample.
    static let simulatedMax = 128

    private let executions: [RunningExecution]
    private let now: Timestamp
    private let startedAt: Timestamp
    private let labels: [LabelWork]
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
        for execution in executions where execution.isAnnounced {
            for part in execution.parts where part.done > 0 {
                guard let label = labelIndices[part.indicator] else { continue }
                paces[label].seconds += Double(part.microseconds) / 1e6
                paces[label].units += Double(part.done)
            }
        }
    }

    /// The shown part of an execution, with the index of its label.
    private func shownPart(of execution: RunningExecution) -> (label: Int, part: RunningExecution.Part)? {
        guard let part = execution.shownPart, let label = labelIndices[part.indicator] else { return nil }
        return (label, part)
    }

    /// Returns the running executions, and adds their units to their classes.
    func running(in classes: inout [WorkClass]) -> [RunningWork] {
        for execution in executions {
            guard let part = execution.parts.first(where: { $0.done > 0 }), let label = labelIndices[part.indicator],
                let index = labels[label].classIndex
            else { continue }
            classes[index].reporters += 1
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
                work.kind = .reporting(reporting(execution, part, label, classes))
            }
            if let index = work.classIndex {
                if case .reporting(let reporting) = work.kind {
                    classes[index].assigned += reporting.left
                } else {
                    classes[index].assigned += part.total > 0 ? Double(part.total) : classes[index].units
                }
            }
        }
        if speed.tasksAreKnown, case .silent = work.kind { recognise(execution, &work, &classes) }
        return work
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
        _ execution: RunningExecution, _ part: RunningExecution.Part, _ label: Int, _ classes: [WorkClass]
    ) -> RunningWork.Reporting {
        let gap = now.seconds(since: execution.lastAdvance ?? execution.startedAt)
        // If all units of its label are done, it is about to end.
        guard let index = labels[label].classIndex else { return RunningWork.Reporting(gap: gap) }
        let (work, done) = (labels[label], Double(part.done))
        let left: Double =
            if part.total > part.done { Double(part.total - part.done) } else if part.total > 0 {
                0
            } else if let units =
                work.meanUnits
            { max(0, units - done) } else { work.left / max(1, classes[index].reporters) }
        let reports = Double(execution.advances)
        return RunningWork.Reporting(
            left: min(left, work.left), pace: pace(execution, part, label), gap: gap, reports: reports,
            unitsPerReport: done / max(1, reports))
    }

    /// The seconds per unit of an execution.
    ///
    /// Its own pace is shrunk to that of its label, which counts like 2 reports, or to that of history, like 4.
    private func pace(_ execution: RunningExecution, _ part: RunningExecution.Part, _ label: Int) -> Double {
        let (seconds, done) = (Double(part.microseconds) / 1e6, Double(part.done))
        guard execution.isAnnounced else {
            // Its time before the first report is unknown.
            let later = done - Double(execution.firstUnits)
            return later > 0
                ? seconds / later
                : max(LogDuration.secondsMin, execution.startedAt.seconds(since: startedAt)) / done
        }
        var pool = (seconds: paces[label].seconds - seconds, units: paces[label].units - done)
        if let pattern = labels[label].pattern {
            pool.seconds += Double(pattern.microseconds) / 1e6
            pool.units += Double(pattern.units)
        }
        var (usual, weight) = (pool.units > 0 ? pool.seconds / pool.units : 0, 2.0)
        if usual <= 0, let known = labels[label].known, !known.quantiles.isEmpty, known.units > 0 {
            let mean = known.quantiles.reduce(0) { $0 + $1.logarithm } / Double(known.quantiles.count)
            (usual, weight) = ((mean + speed.logarithm).exponential / known.units, 4)
        }
        let own = seconds / done
        guard usual > 0 else { return own }
        let reports = Double(execution.advances)
        return
            ((reports * max(own, 1e-9).naturalLogarithm + weight * max(usual, 1e-9).naturalLogarithm)
            / (reports + weight)).exponential
    }
}
